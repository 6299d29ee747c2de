"""The provider is made to agree with what must be; every test asks the training platform itself."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from catalog.models import Provider
from enrollment import agreeing, ending, outcomes, provisioning, stuck
from enrollment.models import Enrollment, Event, ProviderAccount
from libraries.models import Institution, User
from tests.accounts import (
    ADA,
    account_of,
    kinds_of,
    let_line_rest,
    ready_letters,
    seated,
    secret_of,
    settle,
    settle_all,
)
from tests.catalog.provider.odd_server import odd_server, saying
from tests.factories import NOW, make_coordinator, make_programme
from tests.platform_server import Kind, RunningPlatform

pytestmark = pytest.mark.django_db
Seen = ProviderAccount.Seen


def test_settle_opens_the_account_and_tells(platform: RunningPlatform, ada: Enrollment) -> None:
    assert settle()
    account = account_of(ada)
    [seen] = platform.accounts()
    assert (seen["external_id"], seen["email"], seen["name"]) == (str(account.external_id), ADA, "Ada Peeters")
    assert (seen["language"], seen["active"]) == ("nl-BE", True)
    assert (account.seen, account.seen_at, account.remote_id) == (Seen.ACTIVE, NOW, seen["id"])
    assert (account.due_at, account.trouble, account.lease_token) == (None, "", None)
    assert kinds_of(ada) == ["account_opened"]
    assert ready_letters() == [ada.pk]
    assert not settle()


def test_settle_takes_each_due_account_once(platform: RunningPlatform, halle: Institution) -> None:
    programme = make_programme()
    for number in range(3):
        seated(f"ada{number}@example.test", programme, halle, f"2100000{number}")
    assert [settle() for _ in range(4)] == [True, True, True, False]
    assert len(platform.accounts()) == 3


def test_settle_of_an_account_that_agrees_only_looks(platform: RunningPlatform, ada: Enrollment) -> None:
    settle_all()
    ProviderAccount.objects.update(**ProviderAccount.debt(NOW))
    settle_all()
    assert platform.calls()["by_method"] == {"GET": 1, "POST": 1}
    assert (kinds_of(ada), ready_letters()) == (["account_opened"], [ada.pk])


def test_settle_brings_a_changed_address_to_the_provider(platform: RunningPlatform, ada: Enrollment) -> None:
    settle_all()
    User.objects.filter(pk=ada.user_id).update(email="ada@new.example.test")
    ProviderAccount.objects.update(**ProviderAccount.debt(NOW))
    settle_all()
    assert [(each["email"], each["user_name"]) for each in platform.accounts()] == [("ada@new.example.test",) * 2]


def test_settle_closes_when_the_seat_ends_and_opens_the_same_again(
    platform: RunningPlatform, halle: Institution, ada: Enrollment
) -> None:
    settle_all()
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    settle_all()
    assert [each["active"] for each in platform.accounts()] == [False]
    assert account_of(ada).seen == Seen.INACTIVE
    assert kinds_of(ada) == ["account_opened", "account_closed"]
    again = seated(ADA, ada.pool.programme, halle)
    settle_all()
    assert [each["active"] for each in platform.accounts()] == [True]
    assert (kinds_of(again), ready_letters()) == (["account_opened"], [ada.pk, again.pk])


def test_account_is_not_ready_while_an_older_closing_may_be_under_way(
    platform: RunningPlatform, halle: Institution, ada: Enrollment
) -> None:
    settle_all()
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    again = seated(ADA, ada.pool.programme, halle)
    assert (account_of(again).seen, account_of(again).is_ready) == (Seen.UNKNOWN, False)
    settle_all()
    assert (account_of(again).is_ready, ready_letters()) == (True, [ada.pk, again.pk])


def test_account_stays_ready_when_a_second_programme_needs_it_too(
    platform: RunningPlatform, halle: Institution, ada: Enrollment
) -> None:
    settle_all()
    assert account_of(seated(ADA, make_programme("second"), halle)).is_ready


def test_settle_of_a_seat_that_ended_before_makes_no_account(platform: RunningPlatform, ada: Enrollment) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    settle_all()
    assert platform.accounts() == []
    assert (account_of(ada).seen, account_of(ada).due_at, ready_letters()) == (Seen.ABSENT, None, [])


def test_settle_serves_a_second_programme_with_the_same_account(
    platform: RunningPlatform, halle: Institution, ada: Enrollment
) -> None:
    settle_all()
    second = seated(ADA, make_programme("second"), halle)
    settle_all()
    assert ready_letters() == [ada.pk, second.pk]
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    settle_all()
    assert [each["active"] for each in platform.accounts()] == [True]
    ending.give_back(enrollment_id=second.pk, by=ada.user, now=NOW)
    settle_all()
    assert [each["active"] for each in platform.accounts()] == [False]


def test_settle_never_adopts_an_account_that_is_not_ours(
    platform: RunningPlatform, halle: Institution, ada: Enrollment
) -> None:
    settle_all()
    ProviderAccount.objects.filter(user_id=ada.user_id).delete()
    second = seated(ADA, make_programme("second"), halle)
    settle_all()
    account = account_of(second)
    assert (account.trouble, account.stuck_at) == ("name_taken", NOW)
    assert len(platform.accounts()) == 1
    assert ready_letters() == [ada.pk]


def test_settle_gets_stuck_when_the_provider_refuses_for_good(platform: RunningPlatform, ada: Enrollment) -> None:
    platform.fault(Kind.REFUSE)
    assert settle()
    account = account_of(ada)
    assert (account.trouble, account.stuck_at, account.seen) == ("limit_reached", NOW, Seen.UNKNOWN)
    assert kinds_of(ada) == ["account_stuck"]
    assert not settle(NOW + timedelta(days=1))


def test_try_again_makes_a_stuck_account_due(platform: RunningPlatform, ada: Enrollment) -> None:
    mo = make_coordinator()
    platform.fault(Kind.REFUSE)
    settle_all()
    platform.clear_faults()
    account = account_of(ada)
    assert stuck.try_again(account.pk, by=mo, now=NOW) is None
    assert stuck.try_again(account.pk, by=mo, now=NOW) == stuck.Obstacle.NOT_STUCK
    settle_all()
    assert account_of(ada).seen == Seen.ACTIVE
    assert kinds_of(ada) == ["account_stuck", "account_retried", "account_opened"]
    assert Event.objects.get(kind=Event.Kind.ACCOUNT_RETRIED).actor_id == mo.pk


def test_settle_without_the_secret_is_stuck_and_asks_nobody(platform: RunningPlatform, ada: Enrollment) -> None:
    Provider.objects.update(secret_name="NOT_SET")
    settle_all()
    assert (account_of(ada).trouble, platform.calls()["by_method"]) == ("no_secret", {})


def test_settle_backs_off_from_a_provider_that_is_down(platform: RunningPlatform, ada: Enrollment) -> None:
    platform.fault(Kind.DOWN)
    now, waits = NOW, []
    for _ in range(10):
        let_line_rest(now)
        assert settle(now)
        let_line_rest(now)
        due = account_of(ada).due_at
        assert due is not None
        waits.append((due - now).total_seconds())
        assert not settle(due - timedelta(microseconds=1))
        now = due
    longest = [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]
    assert all(most / 2 <= wait <= most for most, wait in zip(longest, waits, strict=True))
    platform.clear_faults()
    let_line_rest(now)
    settle_all(now)
    assert (account_of(ada).seen, account_of(ada).trouble) == (Seen.ACTIVE, "")


def test_settle_never_gives_up_on_a_provider_that_is_away(platform: RunningPlatform, ada: Enrollment) -> None:
    platform.fault(Kind.DOWN)
    now = NOW
    for _ in range(provisioning.MOST_ATTEMPTS + 5):
        let_line_rest(now)
        assert settle(now)
        now += timedelta(hours=1)
    assert (account_of(ada).stuck_at, account_of(ada).trouble) == (None, "server_error")
    platform.clear_faults()
    let_line_rest(now)
    settle_all(now)
    assert account_of(ada).seen == Seen.ACTIVE


def test_settle_is_stuck_after_the_last_attempt(platform: RunningPlatform, ada: Enrollment) -> None:
    platform.fault(Kind.ERROR_AFTER_CREATING)
    ProviderAccount.objects.update(attempts=provisioning.MOST_ATTEMPTS - 1)
    assert settle()
    assert (account_of(ada).trouble, account_of(ada).stuck_at) == ("server_error", NOW)
    assert not settle(NOW + timedelta(days=1))


def test_settle_after_too_many_claims_calls_nobody(platform: RunningPlatform, ada: Enrollment) -> None:
    ProviderAccount.objects.update(attempts=provisioning.MOST_ATTEMPTS)
    assert settle()
    assert (account_of(ada).trouble, account_of(ada).stuck_at) == ("crashed", NOW)
    assert platform.calls()["by_method"] == {}


def test_settle_waits_as_long_as_the_provider_asks(platform: RunningPlatform, ada: Enrollment) -> None:
    platform.fault(Kind.TOO_MANY, times=1, seconds=120)
    settle_all()
    account = account_of(ada)
    assert (account.due_at, account.trouble) == (NOW + timedelta(seconds=120), "rate_limited")
    let_line_rest(NOW)
    assert not settle(NOW + timedelta(seconds=119))
    assert settle(NOW + timedelta(seconds=120))
    assert account_of(ada).seen == Seen.ACTIVE


def test_settle_waits_as_long_as_a_provider_that_is_down_asks(ada: Enrollment) -> None:
    with odd_server(saying("503 Service Unavailable", b"", "Retry-After: 300")) as odd:
        Provider.objects.update(base_url=odd.base_url)
        assert settle()
    account = account_of(ada)
    assert (account.due_at, account.trouble) == (NOW + timedelta(seconds=300), "server_error")


@pytest.mark.parametrize("kind", [Kind.DROPPED_REPLY, Kind.ERROR_AFTER_CREATING])
def test_settle_looks_first_after_a_create_whose_outcome_is_unclear(
    platform: RunningPlatform, ada: Enrollment, kind: Kind
) -> None:
    platform.fault(kind, times=1)
    assert settle()
    account = account_of(ada)
    assert (account.seen, account.stuck_at, account.attempts) == (Seen.UNKNOWN, None, 1)
    assert (ada.state, ready_letters()) == (Enrollment.State.SEATED, [])
    settle_all(NOW + timedelta(minutes=1))
    assert [each["external_id"] for each in platform.accounts()] == [str(account.external_id)]
    assert platform.calls()["by_method"] == {"GET": 1, "POST": 1}
    assert ready_letters() == [ada.pk]


def test_settle_after_a_close_without_reply_looks_and_agrees(platform: RunningPlatform, ada: Enrollment) -> None:
    settle_all()
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW)
    platform.fault(Kind.DROPPED_REPLY, times=1)
    settle_all()
    assert account_of(ada).due_at is not None
    settle_all(NOW + timedelta(minutes=1))
    assert (account_of(ada).seen, account_of(ada).due_at) == (Seen.INACTIVE, None)
    assert kinds_of(ada) == ["account_opened", "account_closed"]


def settle_slowly(
    monkeypatch: pytest.MonkeyPatch, until: datetime, happens: Callable[[], object], *, before: str = "publish_seen"
) -> None:
    """Lets something happen between the calls to the provider and the writing down, or before another step."""
    clock, module = [NOW], agreeing if before == "agree" else outcomes
    real = getattr(module, before)

    def late(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        clock[0] = until
        happens()
        return real(*args, **{name: until if name == "now" else value for name, value in kwargs.items()})

    monkeypatch.setattr(module, before, late)
    assert provisioning.settle_next(secret_of=secret_of, now=lambda: clock[0])


def test_settle_by_a_stale_holder_writes_nothing_and_asks_for_another_look(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one, after the lease, closes the account, as it must be by then; whoever comes late saw it open."""
    later = NOW + provisioning.LEASE

    def another() -> None:
        ending.give_back(enrollment_id=ada.pk, by=ada.user, now=later)
        settle_all(later)

    settle_slowly(monkeypatch, later, another)
    account = account_of(ada)
    assert (account.seen, ready_letters(), kinds_of(ada)) == (Seen.INACTIVE, [], ["account_closed"])
    assert account.due_at == later
    settle_all(later)
    assert (account_of(ada).seen, account_of(ada).due_at, kinds_of(ada)) == (Seen.INACTIVE, None, ["account_closed"])


def test_settle_leaves_what_was_owed_meanwhile(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_slowly(monkeypatch, NOW, lambda: ending.give_back(enrollment_id=ada.pk, by=ada.user, now=NOW))
    assert (account_of(ada).seen, account_of(ada).due_at, ready_letters()) == (Seen.ACTIVE, NOW, [])
    settle_all()
    assert [each["active"] for each in platform.accounts()] == [False]
    assert (account_of(ada).seen, account_of(ada).due_at) == (Seen.INACTIVE, None)
