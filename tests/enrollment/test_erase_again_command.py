"""After a restore whoever was erased since is erased again: here, and at the provider (promise 23)."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from catalog.models import Programme
from enrollment import applying, card_checking, erasing, erasing_again, merging
from enrollment.models import Enrollment, Erasure, Letter, ProviderAccount
from libraries.models import User
from tests import backups, merges
from tests.canaries import in_the_database, unpacked
from tests.erasures import LATER, erase_here, erasures, providers_obey, send_letters
from tests.factories import (
    ADDRESS,
    NOW,
    make_application,
    make_coordinator,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_user,
)

__all__ = ["erasures"]
# Whole tables are emptied and filled again.
pytestmark = pytest.mark.django_db(transaction=True)

ADA = "kanarie.ada@example.test"
CANARIES = ("kanarie.ada", "Kanarina", "Vogelaers", "28599001")


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme(cap=5)


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    told: dict[str, Any] = {"number": "28599001", "first_name": "Kanarina", "last_name": "Vogelaers"}
    ada = make_member(ADA, programme=programme, now=NOW, **told)
    User.objects.filter(pk=ada.user_id).update(date_joined=NOW - timedelta(days=1))
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(), now=NOW)
    return Enrollment.objects.get(pk=ada.pk)


def erase(enrollment: Enrollment) -> Erasure:
    erasing.ask(user_id=enrollment.user_id, by=enrollment.user, now=LATER)
    erase_here()
    providers_obey()
    erasing.erase_due(now=LATER)
    return Erasure.objects.get(user_id=enrollment.user_id)


def run(*arguments: str) -> tuple[int, list[str], list[str]]:
    """Exit status, what it printed, and what it complained of."""
    out, err, status = StringIO(), StringIO(), 0
    try:
        call_command("erase_again", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        status = int(str(end.code))
    return status, out.getvalue().splitlines(), err.getvalue().splitlines()


def found() -> list[str]:
    rows = [(table, text) for table, row in in_the_database() for text in (row, unpacked(row))]
    return sorted({f"{table}: {canary}" for table, text in rows for canary in CANARIES if canary in text})


def test_restored_person_is_erased_again_here_and_at_the_provider(ada: Enrollment, erasures: Path) -> None:
    backup = backups.dump()
    erased = erase(ada)
    assert (erased.finished_at, found()) == (LATER, [])
    backups.restore(backup)
    assert len(found()) >= 4
    assert not Erasure.objects.exists()
    told = ["on the list: 1", "there again, to be erased: 1", "accounts that would be opened without a look: 1"]
    assert run() == (0, [*told, "erased: 1; owed to providers: 1 accounts"], [])
    assert found() == []
    again, account = Erasure.objects.get(), ProviderAccount.objects.get()
    assert (again.code, again.asked_at, again.erased_here_at is not None) == (erased.code, LATER, True)
    assert (account.must_be_active, account.must_be_erased, account.erased_at) == (False, True, None)
    assert account.due_at is not None
    assert account.first_claimed_at is not None
    assert Letter.objects.owed().count() == 0
    merges.check()
    providers_obey()
    assert erasing.erase_due(now=timezone.now()) == 1
    assert run()[:2] == (
        0,
        [
            "on the list: 2",
            "there again, to be erased: 0",
            *["accounts that would be opened without a look: 0"],
            "erased: 0; owed to providers: 0 accounts",
        ],
    )


def test_dry_run_changes_nothing(ada: Enrollment, erasures: Path) -> None:
    backup = backups.dump()
    erase(ada)
    backups.restore(backup)
    before, lines = backups.dump(), erasures.read_text()
    assert run("--dry-run")[1][1] == "there again, to be erased: 1"
    assert (backups.dump() == before, erasures.read_text() == lines) == (True, True)


def test_all_accounts_are_looked_at_before_they_are_created(
    ada: Enrollment, programme: Programme, erasures: Path
) -> None:
    """Whether or not anybody has to be erased: what was made since the backup is not known any more."""
    run()
    assert ProviderAccount.objects.get().first_claimed_at is not None


def test_erasure_that_was_under_way_in_the_backup_is_ended(ada: Enrollment, erasures: Path) -> None:
    first = erasing.ask(user_id=ada.user_id, by=ada.user, now=LATER)
    backup = backups.dump()
    erase_here()
    backups.restore(backup)
    assert run()[0] == 0
    assert (Erasure.objects.get().code, found()) == (first.code, [])


def test_who_came_back_after_the_erasure_stays(ada: Enrollment, programme: Programme, erasures: Path) -> None:
    """The same person, address and card: another row, made after the wish."""
    erase(ada)
    back = make_user(ADA)
    applying.apply(
        user=back, pool=programme.pool, application=make_application(number="28599001"), address=ADDRESS, now=LATER
    )
    backups.restore(backups.dump())
    assert run()[1][1] == "there again, to be erased: 0"
    back.refresh_from_db()
    assert back.email == ADA


def test_newcomer_who_got_the_number_of_somebody_erased_stays(ada: Enrollment, erasures: Path) -> None:
    erase(ada)
    pk = ada.user_id
    Erasure.objects.all().delete()
    User.objects.filter(pk=pk).update(email=ADA, date_joined=LATER + timedelta(days=1))
    ProviderAccount.objects.all().delete()
    assert run()[1][1] == "there again, to be erased: 0"


def test_account_of_a_person_on_the_list_leads_to_them(ada: Enrollment, erasures: Path) -> None:
    """By our id alone: the row of the person was made anew by hand, say."""
    erase(ada)
    Erasure.objects.all().delete()
    User.objects.filter(pk=ada.user_id).update(date_joined=LATER + timedelta(days=1))
    assert run()[1][1] == "there again, to be erased: 1"


def test_accounts_that_were_put_together_since_the_backup_are_all_erased(programme: Programme, erasures: Path) -> None:
    ada = make_member(ADA, programme=programme, number="28599001", now=NOW)
    bo = make_member("kanarie.ada2@example.test", programme=programme, number="28599002", now=NOW)
    User.objects.update(date_joined=NOW - timedelta(days=1))
    backup = backups.dump()
    merging.merge(keep_user_id=bo.user_id, other_user_id=ada.user_id, words="Same", by=make_coordinator(), now=NOW)
    erased = erase(Enrollment.objects.get(pk=bo.pk))
    backups.restore(backup)
    assert run()[0] == 0
    assert found() == []
    assert Erasure.objects.get(code=erased.code).user_id == bo.user_id
    assert Erasure.objects.count() == 2


def test_hashes_of_an_earlier_secret_key_are_found(ada: Enrollment, erasures: Path, settings: LazySettings) -> None:
    backup = backups.dump()
    erase(ada)
    backups.restore(backup)
    old, settings.SECRET_KEY = settings.SECRET_KEY, "another-" * 10
    for arguments in (("--dry-run",), ()):
        status, printed, complained = run(*arguments)
        assert (status, printed[1], complained) == (
            1,
            "there again, to be erased: 0",
            ["lines that were written under another SECRET_KEY, and so lead to nobody: 1"],
        )
    settings.SECRET_KEY_FALLBACKS = [old]
    status, printed, complained = run("--dry-run")
    assert (status, printed[1], complained) == (0, "there again, to be erased: 1", [])


def test_line_that_cannot_be_read_is_named_and_the_others_count(ada: Enrollment, erasures: Path) -> None:
    backup = backups.dump()
    erase(ada)
    backups.restore(backup)
    with erasures.open("a") as file:
        file.write("nonsense\n")
    status, printed, complained = run()
    assert (status, complained, printed[-1]) == (
        1,
        ["line 2 of the list cannot be read"],
        "erased: 1; owed to providers: 1 accounts",
    )


def test_who_works_here_meanwhile_is_named_and_left(ada: Enrollment, erasures: Path) -> None:
    backup = backups.dump()
    erase(ada)
    backups.restore(backup)
    User.objects.filter(pk=ada.user_id).update(is_staff=True)
    status, printed, complained = run()
    assert (status, complained) == (1, [f"person {ada.user_id} is not erased: staff"])


def test_one_that_cannot_be_erased_now_does_not_keep_the_others(
    ada: Enrollment, programme: Programme, erasures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bo = make_member("kanarie.ada2@example.test", programme=programme, number="28599002", now=NOW)
    User.objects.update(date_joined=NOW - timedelta(days=1))
    backup = backups.dump()
    erase(ada)
    erase(bo)
    backups.restore(backup)
    real = erasing.ask

    def busy(*, user_id: int, **named: Any) -> Erasure:
        if user_id == ada.user_id:
            raise OperationalError("lock timeout: kanarie.ada")
        return real(user_id=user_id, **named)

    monkeypatch.setattr(erasing, "ask", busy)
    status, printed, complained = run()
    assert (status, complained) == (1, [f"person {ada.user_id} is not erased: OperationalError"])
    assert not User.objects.get(pk=bo.user_id).is_active
    monkeypatch.undo()


def test_who_was_erased_by_the_sweep_meanwhile_is_not_left(ada: Enrollment, erasures: Path) -> None:
    """It may be run while the workers run."""
    backup = backups.dump()
    erase(ada)
    backups.restore(backup)
    found = erasing_again.look()
    assert erasing_again.erase(found, now=LATER) == {}
    assert erasing_again.erase(found, now=LATER) == {}


def test_list_that_is_not_there_is_said(erasures: Path) -> None:
    erasures.unlink()
    with pytest.raises(CommandError, match=r"ERASURE_LIST.*FileNotFoundError"):
        call_command("erase_again")


def test_letters_that_were_owed_in_the_backup_do_not_leave(ada: Enrollment, erasures: Path) -> None:
    backup = backups.dump()
    erase(ada)
    backups.restore(backup)
    assert Letter.objects.owed().filter(user=ada.user).exists()
    run()
    assert send_letters(timezone.now()) == []
