"""Whose an identity is: kept when accounts are put together, gone with the person, never two people's at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest
from allauth.socialaccount.models import SocialAccount
from django.db import connections, transaction

from enrollment import merging
from libraries import identities, people
from libraries.identities import Identity
from libraries.models import User
from tests.factories import NOW, make_coordinator, make_librarian, make_user

pytestmark = pytest.mark.django_db

ISSUER = "https://account.test/realms/readers"
LONG_AGO = NOW - timedelta(days=2)


def identity(subject: str = "ada", email: str = "ada@example.test") -> Identity:
    return Identity(issuer=ISSUER, subject=subject, email=email, is_verified=True)


def owners() -> list[tuple[str, str]]:
    return list(SocialAccount.objects.order_by("uid").values_list("uid", "user__email"))


def test_identity_in_a_traceback_shows_nobody() -> None:
    assert repr(identity()) == f"Identity(issuer='{ISSUER}', is_verified=True)"


def test_newcomer_gets_an_account_with_the_identity() -> None:
    ada = identities.newcomer(identity(), language="fr")
    assert ada is not None
    assert (ada.email, ada.language, ada.has_usable_password()) == ("ada@example.test", "fr", False)
    assert owners() == [("ada", "ada@example.test")]


def test_nobody_is_a_newcomer_whose_address_or_identity_is_known() -> None:
    make_user()
    assert identities.newcomer(identity(), language="nl") is None
    identities.newcomer(identity("bo", "bo@example.test"), language="nl")
    assert identities.newcomer(identity("bo", "new@example.test"), language="nl") is None
    assert sorted(User.objects.values_list("email", flat=True)) == ["ada@example.test", "bo@example.test"]
    assert owners() == [("bo", "bo@example.test")]


def test_identity_is_attached_once_to_one_account() -> None:
    ada, bo = make_user(), make_user("bo@example.test")
    identities.attach(identity(), user=ada)
    identities.attach(identity(), user=ada)
    with pytest.raises(identities.Taken):
        identities.attach(identity(), user=bo)
    assert owners() == [("ada", "ada@example.test")]


def test_account_that_changed_since_it_was_read_is_seen_as_it_is() -> None:
    ada, bo = make_user(), make_user("bo@example.test")
    User.objects.filter(pk=ada.pk).update(is_active=False)
    User.objects.filter(pk=bo.pk).update(is_staff=True)
    with pytest.raises(identities.Closed):
        identities.attach(identity(), user=ada)
    with pytest.raises(identities.NotForStaff):
        identities.attach(identity(), user=bo)
    assert owners() == []


def test_whoever_has_a_role_or_all_rights_is_staff() -> None:
    lin, ops = make_librarian(), make_user("ops@example.test", is_superuser=True)
    User.objects.filter(pk=lin.pk).update(is_staff=False)
    lin.refresh_from_db()
    assert (identities.is_staff(lin), identities.is_staff(ops), identities.is_staff(make_user())) == (True, True, False)


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_newcomer_on_many_pages_at_once_is_one_person() -> None:
    def come(_number: int) -> User | None:
        try:
            return identities.newcomer(identity(), language="nl")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=8) as pool:
        made = [user for user in pool.map(come, range(16)) if user is not None]
    assert [user.email for user in made] == list(User.objects.values_list("email", flat=True)) == ["ada@example.test"]


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_identity_that_two_prove_at_once_is_of_one() -> None:
    ada, bo = make_user(), make_user("bo@example.test")

    def attach(user: User) -> str:
        try:
            identities.attach(identity(), user=user)
        except identities.Taken:
            return "taken"
        finally:
            connections.close_all()
        return "attached"

    with ThreadPoolExecutor(max_workers=8) as pool:
        assert set(pool.map(attach, [ada, bo] * 4)) == {"attached", "taken"}
    assert len(owners()) == 1


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_account_that_is_being_closed_gets_no_identity() -> None:
    """Whoever attaches waits for the row, and then finds the account closed."""
    ada = make_user()

    def attach() -> bool:
        try:
            identities.attach(identity(), user=ada)
        except identities.Closed:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(max_workers=1) as pool:
        with transaction.atomic():
            User.objects.filter(pk=ada.pk).update(is_active=False)
            attaching = pool.submit(attach)
            assert wait([attaching], timeout=0.3).done == set()
        assert attaching.result() is False
    assert owners() == []


def test_merged_accounts_keep_the_identities_of_both() -> None:
    ada, bo, mo = make_user(), make_user("bo@example.test"), make_coordinator()
    identities.attach(identity(), user=ada)
    identities.attach(identity("bo"), user=bo)
    merging.merge(keep_user_id=ada.pk, other_user_id=bo.pk, words="One person, seen at the desk.", by=mo, now=NOW)
    assert owners() == [("ada", "ada@example.test"), ("bo", "ada@example.test")]


def test_stranger_is_forgotten_with_the_identity_and_who_came_is_not() -> None:
    """An identity is attached when its person signs in; who never did left nothing that must be kept."""
    for name, last_login in (("ada", LONG_AGO), ("bo", None)):
        user = make_user(f"{name}@example.test", date_joined=LONG_AGO, last_login=last_login)
        identities.attach(identity(name), user=user)
    assert people.forget_strangers(now=NOW) == 1
    assert owners() == [("ada", "ada@example.test")]


def test_identity_is_erased_with_the_person() -> None:
    ada = make_user()
    identities.attach(identity(), user=ada)
    ada.delete()
    assert SocialAccount.objects.count() == 0
