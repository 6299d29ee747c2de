"""Calls to a provider take turns: never more than it allows, and each gives its place back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog import line
from catalog.models import Provider, ProviderLine
from catalog.provider.errors import Unreachable
from tests.factories import make_provider

pytestmark = pytest.mark.django_db

EXPIRES = 12.0


@dataclass
class Time:
    """Of a caller who does not really wait: it wakes when it wants to, or `late` by so much."""

    passed: float = 0.0
    late: float = 0.0
    sleeps: int = 0

    def clock(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds + self.late
        self.late = 0.0
        self.sleeps += 1


@pytest.fixture
def provider() -> Provider:
    return make_provider(calls_per_second=5, calls_at_once=3)


@pytest.fixture
def time() -> Time:
    return Time()


Turn = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def turn(provider: Provider, time: Time) -> Turn:
    return lambda: line.turn(provider.pk, expires=EXPIRES, clock=time.clock, sleep=time.sleep)


def row() -> ProviderLine:
    return ProviderLine.objects.get()


def refused(turn: Turn) -> Unreachable:
    with pytest.raises(Unreachable) as caught, turn():
        pytest.fail("a call was made")
    assert caught.value.code == "no_turn"
    return caught.value


def distances(moments: list[int], between: int = 1) -> list[float]:
    """In seconds."""
    return [(later - earlier) / 1_000_000 for earlier, later in zip(moments, moments[between:], strict=False)]


# --- The allowance ---


def test_first_call_leaves_at_once_and_makes_the_line(turn: Turn, time: Time) -> None:
    with turn():
        assert len(row().under_way) == len(row().departures) == 1
    assert (time.passed, row().under_way) == (0.0, [])


def test_calls_leave_with_a_distance_and_no_more_than_allowed_in_any_second(turn: Turn) -> None:
    left = []
    for _ in range(14):
        with turn():
            left.append(row().departures[-1])
    assert min(distances(left)) >= 0.1664
    assert min(distances(left, 5)) >= line.WINDOW
    assert row().departures == left[-5:]


def test_no_more_calls_at_once_than_allowed(turn: Turn, time: Time) -> None:
    with turn(), turn(), turn():
        assert len(row().under_way) == 3
        refused(turn)
        assert line.LONGEST_WAIT - 0.5 <= time.passed <= line.LONGEST_WAIT + 0.5
    with turn():
        assert len(row().under_way) == 1


def test_place_that_is_overdue_is_free(provider: Provider, turn: Turn, time: Time) -> None:
    """Whoever had it was killed."""
    for _ in range(3):
        line._take(provider.pk, EXPIRES, time.clock, time.sleep)
    refused(turn)
    ProviderLine.objects.update(under_way=[moment - 14_000_000 for moment in row().under_way])
    with turn():
        assert len(row().under_way) == 1


def test_place_that_is_overdue_ends_nobody_elses(turn: Turn) -> None:
    stalled = turn()
    stalled.__enter__()
    ProviderLine.objects.update(under_way=[1])
    with turn():
        mine = row().under_way
        stalled.__exit__(None, None, None)
        assert row().under_way == mine


def test_who_wakes_late_takes_another_turn(turn: Turn, time: Time) -> None:
    with turn():
        pass
    time.late = 1.0
    with turn():
        assert (len(row().under_way), len(row().departures)) == (1, 2)
        assert min(distances(row().departures)) >= 0.1664
    assert time.sleeps == 3  # for the first call, for the turn that came too late, and for the one after


def test_probe_that_wakes_late_is_still_the_probe(provider: Provider, turn: Turn, time: Time) -> None:
    now = timezone.now()
    ProviderLine.objects.create(provider=provider, down_since=now, next_probe_at=now, probing=True)
    time.late = 1.0
    with turn():
        assert len(row().under_way) == 1
    assert row().down_since is None


def test_who_wakes_too_late_for_any_turn_makes_no_call(turn: Turn, time: Time) -> None:
    """It was stopped for a while; a lease of its own may be over."""
    time.late = line.LONGEST_WAIT + 0.1
    refused(turn)
    assert (row().under_way, row().departures) == ([], [])


def test_line_that_is_too_long_is_not_waited_in(turn: Turn) -> None:
    with turn():
        pass
    ProviderLine.objects.update(departures=[moment + 8_000_000 for moment in row().departures])
    assert line.LONGEST_WAIT < (refused(turn).after or 0.0) <= 8.2


def test_departures_that_a_clock_set_back_has_left_hold_nobody_up(turn: Turn, time: Time) -> None:
    with turn():
        pass
    hour = 3_600_000_000
    ProviderLine.objects.update(departures=[moment + hour for moment in row().departures])
    with turn():
        assert len(row().departures) == 1
    assert time.passed == 0.0


def test_new_allowance_holds_from_the_next_call(turn: Turn) -> None:
    for _ in range(5):
        with turn():
            pass
    Provider.objects.update(calls_per_second=2)
    with turn():
        assert len(row().departures) == 2
        assert min(distances(row().departures)) >= 0.416


def test_turn_is_not_waited_for_in_a_transaction(turn: Turn) -> None:
    with pytest.raises(RuntimeError), transaction.atomic(), turn():
        pytest.fail("a call was made")


def test_turn_takes_two_statements(turn: Turn) -> None:
    with turn():
        pass
    with CaptureQueriesContext(connection) as queries, turn():
        pass
    assert [each["sql"][:4] for each in queries if "SAVEPOINT" not in each["sql"]] == ["\nWIT", "\nWIT"]
