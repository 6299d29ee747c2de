"""A code proves the address that it was sent to: once the desk has corrected that, it opens nothing any more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from allauth.socialaccount.models import SocialAccount
from django.conf import LazySettings
from django.db import connections
from django.http import HttpRequest
from django.test import Client

from catalog.models import Programme
from enrollment import at_the_desk
from enrollment.models import Enrollment
from libraries import accounts, people
from libraries.models import User
from tests.enrollment.desk import ADA, sign_up
from tests.enrollment.views.identity_visits import MAIL, come
from tests.enrollment.views.visiting import CARD, CONFIRM, newest_code, sign_in, words_of, wrong_code
from tests.factories import NOW, make_librarian, make_user
from tests.identity_provider import IdentityProvider, running_provider, settings_for

pytestmark = pytest.mark.django_db

TYPO = "adda@example.test"
NO_LONGER_VALID = "This code is no longer valid. Ask for a new one."


@pytest.fixture
def uitid(settings: LazySettings) -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        settings.SOCIALACCOUNT_PROVIDERS = settings_for(provider)
        yield provider


@pytest.fixture
def lin(programme: Programme) -> User:
    return make_librarian()


@pytest.fixture
def mistyped(programme: Programme, lin: User) -> Enrollment:
    return sign_up(programme, lin, TYPO)


def correct(row: Enrollment, lin: User) -> None:
    at_the_desk.correct_address(enrollment_id=row.pk, email=ADA, by=lin, now=NOW)


def check_nobody_came_in(client: Client, row: Enrollment) -> None:
    row.user.refresh_from_db()
    assert (row.user.email, row.user.address_proved_at, row.user.last_login) == (ADA, None, None)
    assert ("_auth_user_id" in client.session, SocialAccount.objects.count()) == (False, 0)


@pytest.mark.parametrize("reads_the_page", [True, False])
def test_code_of_a_corrected_address_opens_nothing_and_proves_nothing(
    client: Client, mistyped: Enrollment, lin: User, reads_the_page: bool
) -> None:
    client.post("/en/join/", {"email": TYPO})
    correct(mistyped, lin)

    answer = client.get(CONFIRM, follow=True) if reads_the_page else None
    answer = answer or client.post(CONFIRM, {"code": newest_code(), "next": CARD}, follow=True)
    assert NO_LONGER_VALID in words_of(answer)
    client.post(CONFIRM, {"code": newest_code(), "next": CARD})
    check_nobody_came_in(client, mistyped)


def test_address_that_is_corrected_between_reading_and_comparing_opens_nothing(
    client: Client, mistyped: Enrollment, lin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/en/join/", {"email": TYPO})

    def counted(*_args: object, **_more: object) -> bool:
        correct(mistyped, lin)
        return True

    monkeypatch.setattr(accounts, "may_guess", counted)

    answer = client.post(CONFIRM, {"code": newest_code(), "next": CARD}, follow=True)
    assert NO_LONGER_VALID in words_of(answer)
    check_nobody_came_in(client, mistyped)


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_address_is_not_corrected_while_its_owner_comes_in(
    client: Client, mistyped: Enrollment, lin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/en/join/", {"email": TYPO})
    login, corrections = accounts.AccountAdapter.login, []

    def elsewhere() -> None:
        try:
            correct(mistyped, lin)
        finally:
            connections.close_all()

    def slowly(adapter: accounts.AccountAdapter, request: HttpRequest, user: User) -> None:
        corrections.append(pool.submit(elsewhere))
        with pytest.raises(TimeoutError):  # it waits for the lock
            corrections[0].result(timeout=0.2)
        login(adapter, request, user)

    monkeypatch.setattr(accounts.AccountAdapter, "login", slowly)
    with ThreadPoolExecutor(1) as pool:
        client.post(CONFIRM, {"code": newest_code(), "next": CARD})
        with pytest.raises(at_the_desk.CannotSignUp) as refused:
            corrections[0].result(timeout=10)
    assert refused.value.obstacle == at_the_desk.Obstacle.PROVED
    assert User.objects.get(pk=mistyped.user_id).email == TYPO


def test_identity_is_not_attached_by_the_code_of_a_corrected_address(
    client: Client, mistyped: Enrollment, lin: User, uitid: IdentityProvider
) -> None:
    uitid.person["email"] = TYPO
    come(client)
    client.post(MAIL, {"email": TYPO})
    correct(mistyped, lin)

    client.post(CONFIRM, {"code": newest_code()})
    check_nobody_came_in(client, mistyped)


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("with_identity", [True, False])
def test_code_of_an_account_that_is_gone_is_no_longer_valid(
    client: Client, uitid: IdentityProvider, with_identity: bool, right: bool
) -> None:
    uitid.person["email"] = None
    if with_identity:
        come(client)
    client.post(MAIL if with_identity else "/en/join/", {"email": ADA})
    people.drop_stranger(ADA)

    answer = client.post(CONFIRM, {"code": newest_code() if right else wrong_code()}, follow=True)
    assert NO_LONGER_VALID in words_of(answer)
    assert (User.objects.count(), SocialAccount.objects.count()) == (0, 0)


def test_identity_signs_in_and_proves_no_address(client: Client, uitid: IdentityProvider) -> None:
    ada = make_user(ADA, address_proved_at=None)
    SocialAccount.objects.create(user=ada, provider=uitid.address, uid=uitid.person["sub"])
    come(client)
    ada.refresh_from_db()
    assert (ada.last_login is not None, ada.address_proved_at) == (True, None)


def test_code_proves_the_address(client: Client, mistyped: Enrollment) -> None:
    sign_in(client, TYPO)
    mistyped.user.refresh_from_db()
    assert mistyped.user.address_proved_at is not None
