"""A provider without a list is asked about each of our accounts; every test asks the sandbox's Moodle itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.models import Provider
from catalog.provider.moodle import MoodleClient
from enrollment import reconciling, repairing
from enrollment.models import Letter, ListedAccount, ProviderAccount, Reconciliation
from enrollment.reports import differences
from libraries.models import Institution
from tests.accounts import account_of, let_line_rest, seated, settle_all
from tests.comparisons import LATER, NEXT_DAY, compare, found
from tests.factories import make_coordinator, make_institution, make_library, make_programme, make_provider
from tests.moodle_server import TOKEN as MOODLE_TOKEN
from tests.moodle_server import Kind, RunningMoodle, running_moodle

pytestmark = pytest.mark.django_db
Doubt = Reconciliation.Doubt


@pytest.fixture
def moodle(tmp_path: Path) -> Iterator[RunningMoodle]:
    with running_moodle(tmp_path / "moodle.jsonl") as running:
        yield running


@pytest.fixture
def accounts(moodle: RunningMoodle, monkeypatch: pytest.MonkeyPatch) -> list[ProviderAccount]:
    for module in ("tests.accounts", "tests.comparisons"):
        monkeypatch.setattr(f"{module}.secret_of", lambda name: MOODLE_TOKEN)
    make_provider(base_url=moodle.base_url, kind="moodle", fuse_percent=100)
    halle = make_institution("halle", card_check=Institution.CardCheck.ROSTER)
    make_library("Halle", halle)
    programme = make_programme()
    members = [seated(f"member{each}@example.test", programme, halle, f"2100{each:04}") for each in range(4)]
    settle_all()
    return [account_of(member) for member in members]


def change(moodle: RunningMoodle, account: ProviderAccount, **values: object) -> None:
    user = next(each for each in moodle.site.users.values() if each.idnumber == str(account.external_id))
    for name, value in values.items():
        setattr(user, name, value)


def test_accounts_that_agree_leave_nothing(accounts: list[ProviderAccount]) -> None:
    run = compare()
    assert (found(run), run.listed, run.ours, run.doubt) == ([], 4, 4, "")
    assert (ListedAccount.objects.count(), differences.has_list(run)) == (0, False)


def test_what_differs_is_found_and_mended(accounts: list[ProviderAccount], moodle: RunningMoodle) -> None:
    lost, renamed, closed, _fine = accounts
    user = next(each for each in moodle.site.users.values() if each.idnumber == str(lost.external_id))
    del moodle.site.users[user.id]
    change(moodle, renamed, lastname="Anders")
    change(moodle, closed, suspended=True)
    run = compare()
    assert found(run) == [
        ("closed_there", closed.pk, "", "agree"),
        ("only_here", lost.pk, "", "agree"),
        ("other_data", renamed.pk, "name", "agree"),
    ]
    mo = make_coordinator()
    for kind in ("only_here", "other_data", "closed_there"):
        repairing.repair(run.pk, by=mo, now=LATER, kind=kind)
    settle_all(LATER)
    assert found(compare(NEXT_DAY)) == []


def test_all_are_asked_about_so_many_at_once(
    accounts: list[ProviderAccount], moodle: RunningMoodle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "MOST_AT_ONCE", 3)
    before = sum(moodle.calls().values())
    assert compare().ours == 4
    assert sum(moodle.calls().values()) - before == 2


def test_site_that_knows_nobody_any_more_is_doubted(accounts: list[ProviderAccount], moodle: RunningMoodle) -> None:
    mo = make_coordinator()
    moodle.forget_all()
    run = compare()
    assert (run.doubt, run.differences.count()) == (Doubt.EMPTY, 4)
    assert Letter.objects.get(kind="lists_disagree").user_id == mo.pk


def test_page_of_errors_in_the_middle_is_no_list(
    accounts: list[ProviderAccount], moodle: RunningMoodle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciling, "MOST_AT_ONCE", 2)
    asked = MoodleClient.find_many

    def then_down(client: MoodleClient, external_ids: list[str]) -> object:
        told = asked(client, external_ids)
        moodle.fault(Kind.DOWN)
        return told

    monkeypatch.setattr(MoodleClient, "find_many", then_down)
    run = reconciling.ask(provider_id=Provider.objects.get().pk, by=None, now=LATER)
    assert run is not None
    assert reconciling.compare_next(secret_of=lambda name: MOODLE_TOKEN, now=lambda: LATER)
    run.refresh_from_db()
    assert (run.finished_at, run.attempts, run.differences.count()) == (None, 1, 0)
    assert run.trouble != ""
    let_line_rest(LATER)
