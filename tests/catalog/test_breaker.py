"""A provider that is down is left alone but for single probes, and comes back slowly."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.utils import timezone

from catalog import breaker, line
from catalog.breaker import Admission
from catalog.models import Provider, ProviderLine
from catalog.provider.errors import ProviderError, RateLimited, Refused, Unclear, Unreachable
from tests.factories import make_provider

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
DOWN = Unreachable("unreachable")
Turn = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def provider() -> Provider:
    return make_provider(calls_per_second=1000, calls_at_once=4)


@pytest.fixture
def turn(provider: Provider) -> Turn:
    return lambda: line.turn(provider.pk, expires=12.0)


def row() -> ProviderLine:
    return ProviderLine.objects.get()


def fails(turn: Turn, error: Exception = DOWN) -> None:
    with pytest.raises(type(error)) as caught, turn():
        raise error
    assert caught.value is error


def end(call: AbstractContextManager[None], error: Exception) -> None:
    """A call that was begun by itself ends so."""
    assert not call.__exit__(type(error), error, None)


def go_down(turn: Turn) -> None:
    for _ in range(breaker.MOST_FAILURES):
        fails(turn)
    assert row().down_since is not None


def admits(provider: Provider, seconds: float = 0.0) -> Admission:
    return line.admits(provider.pk, now=timezone.now() + seconds * SECOND)


def is_closed_to(turn: Turn) -> bool:
    try:
        with turn():
            return False
    except Unreachable as error:
        return error.code == "no_turn"


def come_back(provider: Provider, turn: Turn) -> None:
    assert admits(provider, 400) == Admission.PROBE
    with turn():
        pass
    assert row().down_since is None


# --- Going down ---


def test_line_is_open_before_anybody_called(provider: Provider) -> None:
    assert (admits(provider), ProviderLine.objects.exists()) == (Admission.OPEN, False)


def test_failures_one_after_another_take_the_provider_down(provider: Provider, turn: Turn) -> None:
    for _ in range(breaker.MOST_FAILURES - 1):
        fails(turn)
        assert admits(provider) == Admission.OPEN
    fails(turn, Unclear("timeout"))
    assert (admits(provider), is_closed_to(turn)) == (Admission.CLOSED, True)
    assert (row().last_trouble, row().failures) == ("timeout", breaker.MOST_FAILURES)


@pytest.mark.parametrize("error", [None, Refused("name_taken"), Unclear("changed_meanwhile"), Unclear("gone")], ids=str)
def test_answer_ends_the_row_of_failures(provider: Provider, turn: Turn, error: ProviderError | None) -> None:
    for _ in range(breaker.MOST_FAILURES - 1):
        fails(turn)
    if error:
        fails(turn, error)
    else:
        with turn():
            pass
    assert (row().failures, row().last_success_at is None) == (0, False)


@pytest.mark.parametrize("code", sorted(line.PROVIDER_WIDE))
def test_refusal_that_everybody_would_meet_takes_it_down_at_once(provider: Provider, turn: Turn, code: str) -> None:
    fails(turn, Refused(code))
    assert (admits(provider), row().last_trouble) == (Admission.CLOSED, code)


def test_refusal_found_before_any_call_takes_it_down_at_once(provider: Provider) -> None:
    line.report(provider.pk, Refused("no_secret"))
    assert (admits(provider), row().last_trouble) == (Admission.CLOSED, "no_secret")


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt()], ids=repr)
def test_what_is_not_the_providers_tells_nothing_of_it(turn: Turn, error: Exception) -> None:
    for _ in range(breaker.MOST_FAILURES):
        fails(turn, error)
    assert (row().failures, row().under_way, row().last_success_at) == (0, [], None)


# --- A pause ---


def test_pause_is_kept_and_is_no_failure(provider: Provider, turn: Turn) -> None:
    before = timezone.now()
    fails(turn, RateLimited(60))
    assert (row().failures, row().down_since) == (0, None)
    assert row().paused_until >= before + 60 * SECOND  # type: ignore[operator]
    assert (admits(provider), admits(provider, 61)) == (Admission.CLOSED, Admission.OPEN)
    assert is_closed_to(turn)


def test_refused_turn_says_how_long_the_pause_is(turn: Turn) -> None:
    fails(turn, RateLimited(60))
    with pytest.raises(Unreachable) as caught, turn():
        pass
    assert 59 < (caught.value.after or 0) <= 60


def test_pause_is_made_longer_but_not_shorter(turn: Turn) -> None:
    slow = turn()
    slow.__enter__()
    fails(turn, RateLimited(60))
    until = row().paused_until
    end(slow, RateLimited(5))
    assert row().paused_until == until


def test_failure_that_asks_for_a_pause_gets_it(provider: Provider, turn: Turn) -> None:
    fails(turn, Unclear("server_error", after=60))
    assert (admits(provider), row().failures) == (Admission.CLOSED, 1)


@pytest.mark.parametrize(
    ("ahead", "expected"), [(1, Admission.OPEN), (4, Admission.CLOSED), (3600, Admission.OPEN)], ids=str
)
def test_who_would_wait_long_need_not_ask(provider: Provider, turn: Turn, ahead: int, expected: Admission) -> None:
    """An hour is nobody's wait: it was written by a clock that has been set back since."""
    with turn():
        pass
    last = int((timezone.now().timestamp() + ahead) * 1_000_000)
    ProviderLine.objects.update(departures=[*row().departures, last])
    assert admits(provider) == expected


# --- Probes ---


def test_one_asker_gets_the_probe_when_it_is_due(provider: Provider, turn: Turn) -> None:
    go_down(turn)
    assert [admits(provider, 16) for _ in range(3)] == [Admission.PROBE, Admission.CLOSED, Admission.CLOSED]
    with turn():
        assert is_closed_to(turn)


def test_probe_whose_holder_died_before_the_call_is_due_again(provider: Provider, turn: Turn) -> None:
    go_down(turn)
    assert admits(provider, 16) == Admission.PROBE
    assert admits(provider, 16 + 29) == Admission.CLOSED
    assert admits(provider, 16 + 31) == Admission.PROBE


def test_probe_whose_holder_died_in_the_call_is_due_again_when_its_place_is_free(
    provider: Provider, turn: Turn
) -> None:
    go_down(turn)
    assert admits(provider, 16) == Admission.PROBE
    line._take(provider.pk, 12.0, time.monotonic, time.sleep)
    assert admits(provider, 11) == Admission.CLOSED
    assert admits(provider, 13) == Admission.PROBE


def test_waits_between_probes_double_up_to_five_minutes(provider: Provider, turn: Turn) -> None:
    go_down(turn)
    waits = []
    for _ in range(7):
        since = timezone.now()
        ProviderLine.objects.update(next_probe_at=since)
        assert line.admits(provider.pk, now=since) == Admission.PROBE
        fails(turn)
        waits.append((row().next_probe_at - timezone.now()).total_seconds())  # type: ignore[operator]
    for wait, most in zip(waits, [30, 60, 120, 240, 300, 300, 300], strict=True):
        assert most * 0.75 - 1 < wait <= most
    assert row().probes == 7


def test_first_probe_is_due_after_15_seconds(provider: Provider, turn: Turn) -> None:
    go_down(turn)
    assert 10 < (row().next_probe_at - timezone.now()).total_seconds() <= 15  # type: ignore[operator]


def test_probe_that_is_asked_to_wait_changes_nothing_but_the_wait(provider: Provider, turn: Turn) -> None:
    go_down(turn)
    assert admits(provider, 16) == Admission.PROBE
    fails(turn, RateLimited(120))
    assert (row().down_since is None, admits(provider, 100), admits(provider, 121)) == (
        False,
        Admission.CLOSED,
        Admission.PROBE,
    )


def test_wrong_secret_keeps_it_down_until_it_is_right(provider: Provider, turn: Turn) -> None:
    line.report(provider.pk, Refused("no_secret"))
    assert admits(provider, 16) == Admission.PROBE
    line.report(provider.pk, Refused("no_secret"))
    assert (is_closed_to(turn), admits(provider, 16), admits(provider, 31)) == (
        True,
        Admission.CLOSED,
        Admission.PROBE,
    )
    with turn():
        pass
    assert admits(provider) == Admission.OPEN


# --- Coming back ---


def test_answer_to_the_probe_brings_it_back(provider: Provider, turn: Turn) -> None:
    go_down(turn)
    ProviderLine.objects.update(down_told_at=timezone.now())
    come_back(provider, turn)
    assert admits(provider) == Admission.OPEN
    found = row()
    assert (found.failures, found.probes, found.next_probe_at, found.down_told_at) == (0, 0, None, None)


def test_after_it_came_back_calls_at_once_begin_at_one_and_grow_with_each_success(
    provider: Provider, turn: Turn
) -> None:
    go_down(turn)
    come_back(provider, turn)
    grown = []
    for _ in range(4):
        grown.append(line.state(provider.pk, now=timezone.now()).calls_at_once)
        with turn():
            pass
    assert grown == [1, 2, 3, 4]


def test_second_call_waits_while_it_comes_back_slowly(provider: Provider, turn: Turn) -> None:
    go_down(turn)
    come_back(provider, turn)
    slept: list[float] = []
    with turn(), pytest.raises(Unreachable):
        line.turn(provider.pk, expires=12, clock=lambda: sum(slept), sleep=slept.append).__enter__()


def test_call_from_before_it_went_down_does_not_bring_it_back(provider: Provider, turn: Turn) -> None:
    with turn():
        go_down(turn)
    assert (admits(provider), row().failures) == (Admission.CLOSED, breaker.MOST_FAILURES)


def test_calls_from_while_it_was_down_do_not_take_it_down_again(provider: Provider, turn: Turn) -> None:
    """They began before, and their time is over only after it came back."""
    Provider.objects.update(calls_at_once=20)
    slow = [turn() for _ in range(breaker.MOST_FAILURES + 1)]
    for each in slow:
        each.__enter__()
    go_down(turn)
    come_back(provider, turn)
    for each in slow:
        end(each, DOWN)
    assert (admits(provider), row().failures, row().under_way) == (Admission.OPEN, 0, [])


def test_probe_that_succeeds_late_brings_it_back_and_the_next_one_changes_nothing(
    provider: Provider, turn: Turn
) -> None:
    go_down(turn)
    assert admits(provider, 16) == Admission.PROBE
    first = turn()
    first.__enter__()
    assert admits(provider, 16) == Admission.PROBE
    second = turn()
    second.__enter__()
    first.__exit__(None, None, None)
    end(second, DOWN)
    assert (admits(provider), row().failures) == (Admission.OPEN, 0)


# --- By hand ---


def test_somebody_has_it_tried_at_once(provider: Provider, turn: Turn) -> None:
    go_down(turn)
    fails_with_pause = timezone.now() + 600 * SECOND
    ProviderLine.objects.update(paused_until=fails_with_pause)
    assert line.retry_now(provider.pk, now=timezone.now())
    assert admits(provider) == Admission.PROBE
    assert not line.retry_now(provider.pk, now=timezone.now())
    with turn():
        assert not line.retry_now(provider.pk, now=timezone.now())
        assert admits(provider) == Admission.CLOSED


def test_somebody_ends_a_pause(provider: Provider, turn: Turn) -> None:
    fails(turn, RateLimited(60))
    assert line.retry_now(provider.pk, now=timezone.now())
    assert (admits(provider), line.retry_now(provider.pk, now=timezone.now())) == (Admission.OPEN, False)


def test_nothing_is_to_be_tried_where_nothing_was_called(provider: Provider) -> None:
    assert not line.retry_now(provider.pk, now=timezone.now())


def test_going_down_and_coming_back_are_said_once_with_the_providers_number(
    provider: Provider, turn: Turn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    go_down(turn)
    come_back(provider, turn)
    assert [record.getMessage() for record in caplog.records if record.name == "catalog.breaker"] == [
        f"provider {provider.pk} is left alone: unreachable",
        f"provider {provider.pk} is back",
    ]
