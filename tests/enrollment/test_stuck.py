"""An account that got stuck is tried again, given up or marked as done: each once, recorded, and told to the member."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

import pytest
from django.utils import translation

from enrollment import agreeing, drafts, stuck
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from enrollment.reports import timeline
from enrollment.stuck import Obstacle
from libraries.models import Institution, User
from tests.accounts import FACT, account_of, kinds_of, ready_letters, seated, settle_all
from tests.factories import NOW, make_coordinator, make_member, make_programme
from tests.platform_server import Kind, RunningPlatform
from tests.rosters import put_on_roster

pytestmark = pytest.mark.django_db
Seen, State = ProviderAccount.Seen, Enrollment.State
Operation = Callable[..., Obstacle | None]
mark_done = partial(stuck.mark_done, words="Seen on their page.")


@pytest.fixture
def mo() -> User:
    return make_coordinator()


@pytest.fixture
def refused(platform: RunningPlatform, ada: Enrollment) -> Enrollment:
    """Ada's account is stuck: the provider opens no more."""
    platform.fault(Kind.REFUSE)
    settle_all()
    platform.clear_faults()
    assert account_of(ada).stuck_at == NOW
    return ada


@pytest.mark.parametrize("operation", [stuck.try_again, stuck.give_up, mark_done])
def test_nothing_is_done_to_what_is_not_stuck(ada: Enrollment, mo: User, operation: Operation) -> None:
    assert operation(account_of(ada).pk, by=mo, now=NOW) == Obstacle.NOT_STUCK
    assert kinds_of(ada) == []


@pytest.mark.parametrize("operation", [stuck.try_again, stuck.give_up, mark_done])
def test_twice_is_once_and_is_recorded_with_who_did_it(refused: Enrollment, mo: User, operation: Operation) -> None:
    account = account_of(refused)
    assert operation(account.pk, by=mo, now=NOW) is None
    assert operation(account.pk, by=mo, now=NOW) == Obstacle.NOT_STUCK
    names = {stuck.try_again: "account_retried", stuck.give_up: "account_given_up", mark_done: "account_by_hand"}
    event = Event.objects.get(kind=names[operation])
    assert (event.actor_id, event.enrollment_id) == (mo.pk, refused.pk)


def test_giving_up_frees_the_place_for_whoever_is_next(
    platform: RunningPlatform, refused: Enrollment, halle: Institution, mo: User
) -> None:
    type(refused.pool).objects.filter(pk=refused.pool_id).update(cap=1)
    put_on_roster(halle, "21000002", FACT, valid_until=date(2030, 1, 1))
    application: dict[str, Any] = {
        "library": refused.card.library,
        "number": "21000002",
        "second_fact": FACT,
        "now": NOW,
    }
    bo = make_member("bo@example.test", programme=refused.pool.programme, **application)
    assert bo.state == State.WAITING
    assert stuck.give_up(account_of(refused).pk, by=mo, now=NOW) is None
    refused.refresh_from_db()
    bo.refresh_from_db()
    assert (refused.state, refused.end_reason) == (State.ENDED, Enrollment.EndReason.NO_ACCOUNT)
    assert bo.state == State.SEATED
    account = account_of(refused)
    assert (account.must_be_active, account.due_at, account.stuck_at, account.trouble) == (False, NOW, None, "")
    settle_all()
    assert account_of(refused).seen == Seen.ABSENT
    assert [each["email"] for each in platform.accounts()] == ["bo@example.test"]
    kinds = list(Event.objects.filter(enrollment_id=refused.pk).order_by("id").values_list("kind", "actor_id"))
    # There never was an account: nobody reads that one was closed.
    assert kinds[-2:] == [("account_given_up", mo.pk), ("seat_ended", mo.pk)]


def test_member_whose_account_is_given_up_reads_why_in_plain_words(refused: Enrollment, mo: User) -> None:
    User.objects.filter(pk=refused.user_id).update(language="en")
    stuck.give_up(account_of(refused).pk, by=mo, now=NOW)
    message = drafts.compose(Letter.objects.get(kind=Letter.Kind.SEAT_ENDED))
    assert message is not None
    text = str(message.body)
    assert "SkillsTown could not open an account for you" in text
    assert "That is not your fault." in text
    assert "is closed" not in text
    assert "limit" not in text


def test_giving_up_ends_the_places_in_all_programmes_of_that_provider(
    refused: Enrollment, halle: Institution, mo: User
) -> None:
    second = seated(refused.user.email, make_programme("second"), halle)
    ProviderAccount.objects.update(stuck_at=NOW, trouble="limit_reached")
    forecast = stuck.foresee([account_of(refused).pk])
    assert [[place.pk for place in row.places] for row in forecast.rows] == [[refused.pk, second.pk]]
    assert stuck.give_up(account_of(refused).pk, by=mo, now=NOW) is None
    states = Enrollment.objects.filter(user=refused.user_id).values_list("state", flat=True)
    assert list(states) == [State.ENDED, State.ENDED]
    assert account_of(refused).must_be_active is False


def test_closing_that_is_stuck_cannot_be_given_up(refused: Enrollment, mo: User) -> None:
    """The debt would be lost: it is tried again, or done by hand."""
    ProviderAccount.objects.update(must_be_active=False)
    assert stuck.foresee([account_of(refused).pk]).rows == []
    assert stuck.give_up(account_of(refused).pk, by=mo, now=NOW) == Obstacle.NO_PLACE
    assert account_of(refused).stuck_at == NOW
    refused.refresh_from_db()
    assert refused.state == State.SEATED


def test_forecast_is_another_when_other_places_would_end(refused: Enrollment, halle: Institution) -> None:
    before = stuck.foresee([account_of(refused).pk]).fingerprint
    assert stuck.foresee([account_of(refused).pk]).fingerprint == before
    seated(refused.user.email, make_programme("second"), halle)
    ProviderAccount.objects.update(stuck_at=NOW, trouble="limit_reached")
    assert stuck.foresee([account_of(refused).pk]).fingerprint != before


def test_account_done_by_hand_is_ready_and_told(refused: Enrollment, mo: User) -> None:
    assert mark_done(account_of(refused).pk, by=mo, now=NOW) is None
    account = account_of(refused)
    assert (account.is_ready, account.due_at, account.stuck_at, account.trouble) == (True, None, None, "")
    assert kinds_of(refused) == ["account_stuck", "account_by_hand", "account_opened"]
    assert ready_letters() == [refused.pk]
    assert agreeing.owe_changes(now=NOW) == 0


@pytest.mark.parametrize("words", ["", " \n"])
def test_nothing_is_done_by_hand_without_a_reason(refused: Enrollment, mo: User, words: str) -> None:
    assert stuck.mark_done(account_of(refused).pk, by=mo, now=NOW, words=words) == Obstacle.NO_REASON
    assert account_of(refused).stuck_at == NOW


def test_account_without_any_application_is_recorded_too(refused: Enrollment, mo: User) -> None:
    account = ProviderAccount.objects.create(
        user=mo,
        provider=account_of(refused).provider,
        must_be_active=False,
        **ProviderAccount.debt(NOW) | {"version": 1, "stuck_at": NOW, "trouble": "gone"},
    )
    assert mark_done(account.pk, by=mo, now=NOW) is None
    event = Event.objects.get(kind=Event.Kind.ACCOUNT_BY_HAND)
    assert (event.actor_id, event.new_value, hasattr(event, "note")) == (mo.pk, account.pk, False)


def test_closing_and_erasing_done_by_hand_count_as_seen(refused: Enrollment, mo: User) -> None:
    ProviderAccount.objects.update(must_be_active=False)
    assert mark_done(account_of(refused).pk, by=mo, now=NOW) is None
    assert (account_of(refused).seen, account_of(refused).erased_at) == (Seen.INACTIVE, None)
    owed = ProviderAccount.debt(NOW) | {"stuck_at": NOW, "trouble": "not_erased_yet"}
    ProviderAccount.objects.update(must_be_erased=True, remote_id="7", **owed)
    assert mark_done(account_of(refused).pk, by=mo, now=NOW) is None
    account = account_of(refused)
    assert (account.seen, account.erased_at, account.remote_id) == (Seen.ABSENT, NOW, "")
    assert ready_letters() == []


def test_timeline_tells_why_it_was_given_up(refused: Enrollment, mo: User) -> None:
    stuck.give_up(account_of(refused).pk, by=mo, now=NOW)
    with translation.override("en"):
        lines = {line.what: line.why for line in timeline.timeline(refused)}
        assert "it has reached the number that was agreed" in lines[str(Event.Kind.ACCOUNT_GIVEN_UP.label)]
