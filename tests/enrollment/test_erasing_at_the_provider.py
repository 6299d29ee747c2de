"""An account to erase is owed until the training platform has none any more; asked there, and after a restore again
(promise 23)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils import timezone

from catalog.provider.client import Account, Person
from catalog.provider.scim import ScimClient
from enrollment import erasing
from enrollment.models import Enrollment, Erasure, Event, ProviderAccount
from libraries.models import Institution, User
from tests import backups
from tests.accounts import ada, halle, let_line_rest, settle, settle_all
from tests.canaries import in_the_database
from tests.erasures import LATER, erase_here, erasures
from tests.factories import NOW
from tests.platform_server import Kind, RunningPlatform, platform

__all__ = ["ada", "erasures", "halle", "platform"]
pytestmark = pytest.mark.django_db(transaction=True)


def ask(enrollment: Enrollment) -> Erasure:
    return erasing.ask(user_id=enrollment.user_id, by=enrollment.user, now=LATER)


def finished() -> bool:
    erasing.erase_due(now=LATER)
    return Erasure.objects.get().finished_at is not None


def erased_events() -> list[str]:
    return list(
        Event.objects.filter(kind__in=["account_erased", "erased"]).order_by("pk").values_list("kind", flat=True)
    )


def test_account_is_gone_at_the_platform_and_the_certificate_says_so(
    platform: RunningPlatform, ada: Enrollment, erasures: Path
) -> None:
    settle_all()
    assert len(platform.accounts()) == 1
    ask(ada)
    erase_here()
    assert not finished()
    settle_all(LATER)
    assert (platform.accounts(), ProviderAccount.objects.get().erased_at) == ([], LATER)
    assert finished()
    assert erased_events() == ["erased", "account_erased", "erased"]


def test_look_after_it_was_erased_moves_no_date_of_the_certificate(
    platform: RunningPlatform, ada: Enrollment, erasures: Path
) -> None:
    """As when the platform tells that the account was closed: by us."""
    settle_all()
    ask(ada)
    erase_here()
    settle_all(LATER)
    later = LATER + timedelta(minutes=5)
    ProviderAccount.objects.update(**ProviderAccount.debt(later))
    settle_all(later)
    account = ProviderAccount.objects.get()
    assert (account.due_at, account.seen_at, account.erased_at) == (None, later, LATER)


def test_platform_that_is_away_is_asked_until_it_has_none(
    platform: RunningPlatform, ada: Enrollment, erasures: Path
) -> None:
    settle_all()
    ask(ada)
    erase_here()
    platform.fault(Kind.DOWN)
    settle(LATER)
    assert (len(platform.accounts()), finished()) == (1, False)
    platform.clear_faults()
    later = LATER + timedelta(hours=2)
    let_line_rest(later)
    settle_all(later)
    assert (platform.accounts(), finished()) == ([], True)


def test_account_that_is_being_opened_when_the_wish_comes_is_erased_after(
    platform: RunningPlatform, ada: Enrollment, erasures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ScimClient.create

    def create(self: ScimClient, person: Person) -> Account:
        made = real(self, person)
        ask(ada)
        return made

    monkeypatch.setattr(ScimClient, "create", create)
    settle(NOW)
    assert len(platform.accounts()) == 1
    erase_here()
    settle_all(LATER)
    assert (platform.accounts(), finished()) == ([], True)


def test_account_that_was_never_made_is_looked_for_and_found_gone(
    platform: RunningPlatform, ada: Enrollment, erasures: Path
) -> None:
    ask(ada)
    erase_here()
    settle_all(LATER)
    assert (platform.calls()["by_method"], platform.accounts(), finished()) == ({"GET": 1}, [], True)


@pytest.mark.parametrize("comes_back", [False, True])
def test_after_a_restore_it_is_erased_again_there_too(
    platform: RunningPlatform, ada: Enrollment, halle: Institution, erasures: Path, comes_back: bool
) -> None:
    """The portal's backup, and where it comes back, the platform's own: an account under the same id."""
    User.objects.update(date_joined=NOW - timedelta(days=1))
    settle_all()
    backup, account = backups.dump(), ProviderAccount.objects.get()
    ask(ada)
    erase_here()
    settle_all(LATER)
    assert (platform.accounts(), finished()) == ([], True)
    backups.restore(backup)
    if comes_back:
        ProviderAccount.objects.filter(pk=account.pk).update(**ProviderAccount.debt(LATER))
        settle_all(LATER)
        assert len(platform.accounts()) == 1
    call_command("erase_again")
    now = timezone.now()
    settle_all(now)
    assert platform.accounts() == []
    assert erasing.erase_due(now=now) == 1
    assert [table for table, row in in_the_database() if "ada@example.test" in row] == []
