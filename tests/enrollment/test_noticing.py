"""What came of a provider's notice: a look at it, a decision for a person, a seat that is used. In any order."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import ObjectDoesNotExist

from catalog.provider.notices import Notice
from enrollment import ending, noticing, provisioning, stuck
from enrollment.models import Enrollment, Event, Letter, ProviderAccount, ProviderNotice
from libraries.models import Institution, User
from tests.accounts import account_of, seated, settle_all
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import NOW, make_coordinator, make_institution, make_library, make_programme, make_provider
from tests.platform_server import RunningPlatform, platform

__all__ = ["platform"]
pytestmark = pytest.mark.django_db

CLOSED, CHANGED, PROGRESS = "account.closed", "account.changed", "progress"
Seen = ProviderAccount.Seen
# Long enough after the account was looked at.
LATER = NOW + timedelta(minutes=10)
_numbers = itertools.count(1)


@pytest.fixture
def halle() -> Institution:
    institution = make_institution("halle", card_check=Institution.CardCheck.ROSTER)
    make_library("Halle", institution)
    return institution


@pytest.fixture
def ada(halle: Institution) -> Enrollment:
    """With an open account, at a provider that is not asked."""
    enrollment = seated("ada@example.test", make_programme(), halle)
    ProviderAccount.objects.update(seen=Seen.ACTIVE, seen_at=NOW, due_at=None, remote_id="42")
    return enrollment


@pytest.fixture
def eve(platform: RunningPlatform, halle: Institution) -> Enrollment:
    """With an open account at the training platform."""
    make_provider(base_url=platform.base_url)
    enrollment = seated("eve@example.test", make_programme(), halle)
    settle_all()
    return enrollment


def tell(
    account: ProviderAccount, kind: str, *, at: datetime = LATER, number: str = "", now: datetime = LATER, **more: Any
) -> None:
    told: dict[str, Any] = {"external_id": account.external_id, "remote_id": account.remote_id, **more}
    if kind == PROGRESS:
        told = {"course_code": "ST-1001", "percent": 25, **told}
    notice = Notice(id=number or f"msg_{next(_numbers)}", kind=kind, occurred_at=at, **told)
    noticing.store(provider_id=account.provider_id, notice=notice, now=now)


def work(now: datetime = LATER) -> list[str]:
    """What came of each, in the order in which they came."""
    while noticing.settle_next(now=lambda: now):
        pass
    assert not ProviderNotice.objects.owed().exists()
    return list(ProviderNotice.objects.order_by("pk").values_list("outcome", flat=True))


def told_events(enrollment: Enrollment) -> list[str]:
    found = Event.objects.filter(enrollment_id=enrollment.pk, kind=Event.Kind.ACCOUNT_TOLD)
    return list(found.values_list("reason", flat=True))


# --- Closed there ---


def test_account_closed_there_that_must_be_open_waits_for_a_person(ada: Enrollment) -> None:
    tell(account_of(ada), CLOSED)
    assert work() == ["stuck"]
    account = account_of(ada)
    assert (account.seen, account.trouble, account.stuck_at) == (Seen.INACTIVE, "closed_there", LATER)
    assert (account.is_ready, told_events(ada)) == (False, ["closed_there"])
    settle_all(LATER)
    assert account_of(ada).trouble == "closed_there"


def test_to_try_again_opens_it_again(platform: RunningPlatform, eve: Enrollment) -> None:
    close_there(platform)
    tell(account_of(eve), CLOSED)
    work()
    stuck.try_again(account_of(eve).pk, by=make_coordinator(), now=LATER)
    settle_all(LATER)
    assert [each["active"] for each in platform.accounts()] == [True]
    assert account_of(eve).is_ready
    assert Letter.objects.filter(kind=Letter.Kind.ACCOUNT_READY).count() == 1


def close_there(platform: RunningPlatform) -> None:
    server = platform.server.platform
    [account] = platform.accounts()
    with server.storage.lock:
        [user] = [each for each in server.storage.resources if each.id == account["id"]]
        user.active = False  # type: ignore[attr-defined]


def test_account_closed_there_that_must_be_closed_is_looked_at(platform: RunningPlatform, eve: Enrollment) -> None:
    ending.give_back(enrollment_id=eve.pk, by=eve.user, now=NOW)
    settle_all()
    events = Event.objects.count()
    tell(account_of(eve), CLOSED)
    assert work() == ["look"]
    assert account_of(eve).due_at == LATER
    settle_all(LATER)
    account = account_of(eve)
    assert (account.seen, account.due_at, Event.objects.count()) == (Seen.INACTIVE, None, events)


def test_closing_from_before_the_last_look_is_looked_into_and_stops_nothing(eve: Enrollment) -> None:
    """As our own closing is told late, when the same person has a new seat."""
    tell(account_of(eve), CLOSED, at=NOW)
    assert work() == ["look"]
    assert account_of(eve).is_ready
    settle_all(LATER)
    assert (account_of(eve).is_ready, account_of(eve).due_at, told_events(eve)) == (True, None, [])


def test_notice_of_a_stuck_account_changes_nothing(ada: Enrollment) -> None:
    tell(account_of(ada), CLOSED)
    work()
    before = vars(account_of(ada))
    for kind in (CLOSED, CHANGED):
        tell(account_of(ada), kind)
    assert work() == ["stuck", "waits", "waits"]
    assert same(vars(account_of(ada)), before)
    assert told_events(ada) == ["closed_there"]


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return {**first, "_state": None} == {**second, "_state": None}


@pytest.mark.parametrize("order", list(itertools.permutations([CLOSED, CHANGED, PROGRESS])))
def test_order_of_notices_does_not_matter(ada: Enrollment, order: tuple[str, ...]) -> None:
    for kind in order:
        tell(account_of(ada), kind)
        work()
    account = account_of(ada)
    assert (account.trouble, account.seen, account.stuck_at) == ("closed_there", Seen.INACTIVE, LATER)
    assert told_events(ada) == ["closed_there"]
    ada.refresh_from_db()
    assert ada.used_at == LATER


# --- Changed there ---


def test_what_was_changed_there_is_brought_back(platform: RunningPlatform, eve: Enrollment) -> None:
    User.objects.filter(pk=eve.user_id).update(email="eve@new.example.test")
    tell(account_of(eve), CHANGED)
    assert work() == ["look"]
    assert account_of(eve).is_ready
    settle_all(LATER)
    assert [each["email"] for each in platform.accounts()] == ["eve@new.example.test"]
    assert platform.calls()["by_method"].get("PATCH", 0) + platform.calls()["by_method"].get("PUT", 0) == 1


def test_change_told_right_after_our_own_is_looked_at_after_a_while(ada: Enrollment) -> None:
    """A provider that tells us our own changes, and writes them otherwise, would keep us both busy for ever."""
    soon = NOW + timedelta(seconds=1)
    tell(account_of(ada), CHANGED, at=NOW, now=soon)
    assert work(soon) == ["look"]
    assert account_of(ada).due_at == soon + noticing.CALM


def test_notices_hurry_nobody_who_waits(ada: Enrollment) -> None:
    """The provider was away; attempts and the next time are as they were."""
    waiting = LATER + timedelta(minutes=8)
    ProviderAccount.objects.update(due_at=waiting, attempts=9, trouble="timeout")
    for _ in range(3):
        tell(account_of(ada), CHANGED)
    assert work() == ["look"] * 3
    account = account_of(ada)
    assert (account.due_at, account.attempts, account.trouble) == (waiting, 9, "timeout")


@pytest.mark.parametrize("kind", [CHANGED, CLOSED])
def test_notice_during_the_work_on_an_account_is_not_lost(ada: Enrollment, kind: str) -> None:
    """Whoever works on it may have looked before: what they publish does not settle what came meanwhile."""
    ProviderAccount.objects.update(**ProviderAccount.debt(LATER))
    claimed = ProviderAccount.objects.claim(now=LATER, lease=provisioning.LEASE)
    assert claimed is not None
    tell(claimed, kind, at=LATER + timedelta(seconds=1))
    assert work() == ["look"]
    assert ProviderAccount.objects.publish(claimed, due_at=None, seen=Seen.ACTIVE, seen_at=LATER)
    account = account_of(ada)
    assert (account.due_at, account.stuck_at) == (LATER + noticing.CALM, None)


def test_notice_during_the_work_of_a_worker_that_was_killed_is_not_lost(ada: Enrollment) -> None:
    ProviderAccount.objects.update(**ProviderAccount.debt(NOW))
    late = ProviderAccount.objects.claim(now=NOW, lease=provisioning.LEASE)
    assert late is not None
    tell(late, CHANGED)
    work()
    assert ProviderAccount.objects.publish(late, due_at=None)
    assert account_of(ada).due_at == NOW


# --- Progress ---


def test_progress_is_the_first_use_of_a_seat(ada: Enrollment) -> None:
    tell(account_of(ada), PROGRESS, at=LATER - timedelta(minutes=1))
    tell(account_of(ada), PROGRESS, at=LATER, percent=50)
    tell(account_of(ada), PROGRESS, at=NOW, percent=10)
    assert work() == ["used", "noted", "noted"]
    ada.refresh_from_db()
    assert ada.used_at == LATER - timedelta(minutes=1)
    event = Event.objects.get(kind=Event.Kind.STARTED)
    assert (event.enrollment_id, event.actor_id, event.reason, event.at) == (ada.pk, None, "progress", LATER)
    assert account_of(ada).due_at is None


@pytest.mark.parametrize(("percent", "at"), [(0, LATER), (25, NOW - timedelta(seconds=1))])
def test_progress_of_nothing_or_of_before_the_seat_is_no_use_of_it(ada: Enrollment, percent: int, at: datetime) -> None:
    tell(account_of(ada), PROGRESS, percent=percent, at=at)
    assert work() == ["noted"]
    ada.refresh_from_db()
    assert ada.used_at is None


def test_progress_counts_where_the_course_is(ada: Enrollment, halle: Institution) -> None:
    """Of two programmes at one provider; where none of them has the course, for both."""
    second = seated("ada@example.test", make_programme("second"), halle)
    offer_course(second.pool.programme, make_course(code="ST-1001"))
    tell(account_of(ada), PROGRESS)
    work()
    assert used(ada, second) == [False, True]
    tell(account_of(ada), PROGRESS, percent=80)
    work()
    assert used(ada, second) == [False, True]
    tell(account_of(ada), PROGRESS, course_code="ST-9")
    work()
    assert used(ada, second) == [True, True]


def used(*enrollments: Enrollment) -> list[bool]:
    found = dict(Enrollment.objects.values_list("pk", "used_at"))
    return [found[each.pk] is not None for each in enrollments]


# --- Whose it is ---


def test_account_is_found_by_the_providers_id_as_well(ada: Enrollment) -> None:
    tell(account_of(ada), CHANGED, external_id=None)
    tell(account_of(ada), CHANGED, external_id=uuid4())
    tell(account_of(ada), CHANGED, remote_id="")
    assert work() == ["look"] * 3


def test_our_id_goes_before_the_providers(ada: Enrollment, halle: Institution) -> None:
    bo = seated("bo@example.test", ada.pool.programme, halle, "21000002")
    ProviderAccount.objects.filter(user=bo.user).update(remote_id="43")
    tell(account_of(ada), CLOSED, remote_id="43")
    work()
    assert [account_of(each).stuck_at is not None for each in (ada, bo)] == [True, False]


def test_notice_about_nobody_of_ours_is_done_with(ada: Enrollment) -> None:
    stranger = ProviderAccount(provider_id=account_of(ada).provider_id, external_id=uuid4(), remote_id="999")
    for kind in (CLOSED, CHANGED, PROGRESS):
        tell(stranger, kind)
    assert work() == ["unknown"] * 3


@pytest.mark.parametrize("kind", [CLOSED, CHANGED, PROGRESS])
def test_notice_of_an_account_that_is_erased_keeps_nothing_of_whose_it_is(ada: Enrollment, kind: str) -> None:
    """Our own erasing may be told, after all else that was told has been forgotten."""
    account = account_of(ada)
    erased = {"seen": Seen.ABSENT, "must_be_active": False, "must_be_erased": True, "erased_at": NOW}
    ProviderAccount.objects.update(**erased)
    tell(account, kind)
    work()
    kept = ProviderNotice.objects.get()
    assert (kept.external_id, kept.remote_id, kept.course_code, kept.percent) == (None, "", "", None)
    tell(account, kind, number=kept.notice_id)
    assert ProviderNotice.objects.get().external_id is None


def test_another_provider_tells_nothing_of_an_account(ada: Enrollment) -> None:
    account = account_of(ada)
    account.provider = make_provider("other")
    tell(account, CLOSED)
    assert work() == ["unknown"]


# --- Owed work ---


def test_same_number_is_written_down_once(ada: Enrollment) -> None:
    for kind in (CLOSED, CHANGED):
        tell(account_of(ada), kind, number="msg_same")
    assert list(ProviderNotice.objects.values_list("kind", flat=True)) == [CLOSED]
    other = account_of(ada)
    other.provider = make_provider("other")
    tell(other, CLOSED, number="msg_same")
    assert ProviderNotice.objects.count() == 2


def test_notice_that_fails_is_tried_again_and_given_up_in_the_end(
    ada: Enrollment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise ObjectDoesNotExist("Ada Peeters")

    tell(account_of(ada), PROGRESS)
    with monkeypatch.context() as patch:
        patch.setattr("enrollment.using.note_progress", fail)
        assert noticing.settle_next(now=lambda: LATER)
    notice = ProviderNotice.objects.get()
    assert (notice.outcome, notice.trouble, notice.due_at) == (
        "",
        "ObjectDoesNotExist",
        LATER + timedelta(seconds=5),
    )
    ProviderNotice.objects.update(attempts=noticing.MOST_ATTEMPTS)
    assert work(LATER + timedelta(minutes=1)) == ["failed"]
    assert "Ada" not in caplog.text


def test_whoever_lost_the_lease_changes_nothing(ada: Enrollment, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(account_of(ada), CLOSED)
    slow = noticing._work

    def taken_over(account: ProviderAccount, notice: ProviderNotice, *, now: datetime) -> noticing.Outcome:
        ProviderNotice.objects.update(lease_token=uuid4())
        return slow(account, notice, now=now)

    monkeypatch.setattr(noticing, "_work", taken_over)
    assert noticing.settle_next(now=lambda: LATER)
    assert (account_of(ada).stuck_at, told_events(ada)) == (None, [])
    assert ProviderNotice.objects.owed().count() == 1


def test_crash_counts_as_an_attempt(ada: Enrollment) -> None:
    tell(account_of(ada), CLOSED)
    for _ in range(noticing.MOST_ATTEMPTS):
        ProviderNotice.objects.update(lease_until=None)
        assert ProviderNotice.objects.claim(now=LATER, lease=noticing.LEASE)
    ProviderNotice.objects.update(lease_until=None)
    assert work() == ["failed"]


def test_notices_are_kept_for_90_days(ada: Enrollment) -> None:
    for days in (89, 90):
        tell(account_of(ada), PROGRESS, number=f"msg_{days}_days", now=NOW - timedelta(days=days))
    work()
    tell(account_of(ada), PROGRESS, number="msg_owed", now=NOW - timedelta(days=99))
    assert noticing.forget(now=NOW) == 1
    left = set(ProviderNotice.objects.values_list("notice_id", flat=True))
    assert left == {"msg_89_days", "msg_owed"}
