"""People come into being when an address is typed, and go again when nobody proves it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections

from libraries import people
from libraries.models import User
from tests.factories import NOW, make_librarian, make_library, make_member, make_programme, make_user

pytestmark = pytest.mark.django_db

LONG_AGO = NOW - timedelta(days=2)


def test_unknown_address_becomes_a_person_without_a_password() -> None:
    user = people.at(" Ada@Example.test ", language="fr")
    assert (user.email, user.language, user.has_usable_password(), user.is_staff) == (
        "ada@example.test",
        "fr",
        False,
        False,
    )


def test_known_address_is_the_same_person_as_before() -> None:
    known = make_user(language="nl")
    assert people.at("ADA@example.test", language="fr") == known
    known.refresh_from_db()
    assert known.language == "nl"


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_address_typed_many_times_at_once_is_one_person() -> None:
    def ask(_number: int) -> int:
        try:
            return people.at("ada@example.test", language="nl").pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert len(set(pool.map(ask, range(24)))) == 1
    assert User.objects.count() == 1


def test_strangers_are_forgotten_after_a_day_and_nobody_else() -> None:
    make_user("stranger@example.test", date_joined=LONG_AGO)
    make_user("new@example.test", date_joined=NOW - timedelta(hours=23))
    make_user("came@example.test", date_joined=LONG_AGO, last_login=LONG_AGO)
    make_user("merged@example.test", date_joined=LONG_AGO, is_active=False)
    make_librarian(date_joined=LONG_AGO)
    make_library()
    ada = make_member(programme=make_programme(), now=NOW).user
    User.objects.filter(pk=ada.pk).update(date_joined=LONG_AGO)
    assert people.forget_strangers(now=NOW) == 1
    assert sorted(User.objects.values_list("email", flat=True)) == [
        "ada@example.test",
        "came@example.test",
        "lin@example.test",
        "merged@example.test",
        "new@example.test",
    ]


def test_language_of_letters_is_kept() -> None:
    user = make_user()
    people.write_in(user, "en")
    user.refresh_from_db()
    assert user.language == "en"
