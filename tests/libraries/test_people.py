"""People come into being when an address is typed, and go again when nobody proves it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connections, transaction

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


# --- Whether the address is theirs ---


def test_typing_an_address_proves_nothing_and_coming_in_does_once() -> None:
    user = people.at("ada@example.test", language="nl")
    assert user.address_proved_at is None
    for at in (NOW, NOW + timedelta(days=1)):
        people.note_proved(user, email=user.email, now=at)
    user.refresh_from_db()
    assert user.address_proved_at == NOW


def test_code_proves_no_address_but_the_one_it_was_sent_to() -> None:
    user = make_user("ada@example.test", address_proved_at=None)
    people.note_proved(user, email="adda@example.test", now=NOW)
    user.refresh_from_db()
    assert user.address_proved_at is None


@pytest.mark.parametrize("somebody", [{"address_proved_at": NOW}, {"last_login": NOW}, {"is_active": False}])
def test_address_is_taken_from_nobody_but_a_stranger(somebody: dict[str, Any]) -> None:
    make_user("ada@example.test", **({"address_proved_at": None} | somebody))
    people.at("bo@example.test", language="nl")
    for email in ("ada@example.test", "bo@example.test"):
        people.drop_stranger(email)
    assert [user.email for user in User.objects.all()] == ["ada@example.test"]


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("erase", [lambda: people.drop_stranger("ada@example.test"), people.forget_strangers])
def test_who_comes_in_while_strangers_are_erased_stays(erase: Callable[..., Any]) -> None:
    make_user("ada@example.test", address_proved_at=None, date_joined=LONG_AGO)

    def elsewhere() -> None:
        try:
            erase(**({"now": NOW} if erase == people.forget_strangers else {}))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            User.objects.update(last_login=NOW)
            erasing = pool.submit(elsewhere)
            with pytest.raises(TimeoutError):  # it has found her, and waits
                erasing.result(timeout=0.3)
        erasing.result(timeout=10)
    assert User.objects.count() == 1


def test_names_are_the_same_however_they_are_spelled() -> None:
    user = User(first_name="Zoë-Anne", last_name="D'Hondt")
    assert people.is_called(user, "zoe anne", "dhondt") is True
    assert people.is_called(user, "Zoë", "D'Hondt") is False


def test_everybody_who_came_in_before_this_version_has_proved_the_address() -> None:
    make_user("ada@example.test", date_joined=LONG_AGO, last_login=NOW)
    make_librarian(date_joined=LONG_AGO)
    make_user("stranger@example.test", date_joined=LONG_AGO)
    import_module("libraries.migrations.0005_addresses_at_the_desk").note_who_came_in(apps, None)
    assert list(User.objects.order_by("email").values_list("email", "address_proved_at")) == [
        ("ada@example.test", LONG_AGO),
        ("lin@example.test", LONG_AGO),
        ("stranger@example.test", None),
    ]
