"""Reads that work say nothing of writes that do not; and what was not sent says nothing at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from django.utils import timezone

from catalog import breaker, line
from catalog.breaker import Admission
from catalog.models import CallTally, Provider, ProviderLine
from catalog.provider.errors import ProviderError, Refused, Unclear, Unreachable
from tests.factories import make_provider

pytestmark = pytest.mark.django_db

MOST = breaker.MOST_FAILURES
Call = Callable[..., None]
FAILED = Unclear("server_error")


@pytest.fixture
def provider() -> Provider:
    return make_provider(calls_per_second=1000, calls_at_once=4)


@pytest.fixture
def call(provider: Provider) -> Call:
    def call(error: Exception | None = None, *, writes: bool = False) -> None:
        with suppress(ProviderError, line.NotSent), line.turn(provider.pk, expires=12.0, writes=writes):
            if error is not None:
                raise error

    return call


def row() -> ProviderLine:
    return ProviderLine.objects.get()


def is_down() -> bool:
    return row().down_since is not None


def probes(provider: Provider) -> bool:
    """The time of the next try has come, and it is this asker's."""
    ProviderLine.objects.update(next_probe_at=timezone.now(), probing=False)
    return line.admits(provider.pk, now=timezone.now()) == Admission.PROBE


def has_failing_writes(call: Call) -> None:
    for _ in range(MOST):
        call()
        call(FAILED, writes=True)


def turn_is_open(provider: Provider) -> bool:
    try:
        with line.turn(provider.pk, expires=12.0):
            raise line.NotSent
    except Unreachable:
        return False
    except line.NotSent:
        return True


# --- Reads and writes ---


def test_writes_that_fail_take_it_down_whatever_was_read_between_them(call: Call) -> None:
    for number in range(MOST):
        assert number == 0 or not is_down()
        call()
        call(FAILED, writes=True)
    assert is_down()


def test_write_that_works_ends_the_row_of_failed_writes(call: Call) -> None:
    for _ in range(MOST - 1):
        call()
        call(FAILED, writes=True)
    call(writes=True)
    assert row().failed_writes == 0
    call()
    call(FAILED, writes=True)
    assert not is_down()


def test_reads_that_fail_are_no_failed_writes(call: Call) -> None:
    for _ in range(MOST - 1):
        call(Unreachable("server_error"))
    assert (row().failures, row().failed_writes) == (MOST - 1, 0)


def test_refusal_of_a_write_is_an_answer_that_may_concern_one_account(call: Call) -> None:
    """Who meets it alone, and looks each time before, must not take everybody's line down."""
    for _ in range(MOST):
        call()
        call(Refused("not_allowed"), writes=True)
    assert (is_down(), row().failed_writes) == (False, 0)


def test_where_only_writes_fail_a_read_does_not_bring_it_back(provider: Provider, call: Call) -> None:
    has_failing_writes(call)
    since, epoch = row().down_since, row().epoch
    for _ in range(3):
        assert probes(provider)
        call()
        assert (row().down_since, row().probing) == (since, True)
        call(FAILED, writes=True)
        assert (row().down_since, row().epoch, turn_is_open(provider)) == (since, epoch, False)
    assert row().probes == 3


def test_where_only_writes_fail_the_probe_goes_on_to_its_write_which_brings_it_back(
    provider: Provider, call: Call
) -> None:
    has_failing_writes(call)
    assert probes(provider)
    call()
    assert line.admits(provider.pk, now=timezone.now()) == Admission.CLOSED
    call(writes=True)
    assert (is_down(), row().failed_writes) == (False, 0)


def test_where_all_failed_a_read_brings_it_back_and_the_next_write_that_fails_ends_that(
    provider: Provider, call: Call
) -> None:
    """Until a read has worked, nobody knows that only writes fail."""
    for _ in range(MOST):
        call(FAILED, writes=True)
    assert is_down()
    assert probes(provider)
    call()
    assert not is_down()
    call(FAILED, writes=True)
    assert is_down()
    assert probes(provider)
    call()
    assert is_down()


def test_where_only_writes_fail_it_is_not_tried_with_a_read(provider: Provider, call: Call) -> None:
    has_failing_writes(call)
    later = timezone.now() + timedelta(minutes=1)
    assert line.to_be_tried(now=later) == []
    ProviderLine.objects.update(failures=MOST)
    assert line.to_be_tried(now=later) == [provider]
    assert line.to_be_tried(now=timezone.now()) == []
    ProviderLine.objects.update(paused_until=later + timedelta(minutes=1))
    assert line.to_be_tried(now=later) == []


# --- What was not sent ---


def test_turn_that_was_not_used_is_no_call(provider: Provider, call: Call) -> None:
    for _ in range(MOST - 1):
        call(FAILED, writes=True)
    before = row()
    call(line.NotSent(), writes=True)
    found = row()
    assert (found.under_way, found.departures, CallTally.objects.get().count) == ([], before.departures, MOST - 1)
    assert (found.failures, found.failed_writes, found.last_success_at) == (MOST - 1, MOST - 1, None)


def test_turn_that_was_not_used_leaves_the_probe_to_the_next_one(provider: Provider, call: Call) -> None:
    for _ in range(MOST):
        call(FAILED)
    assert probes(provider)
    call(line.NotSent())
    assert (is_down(), row().probes) == (True, 0)
    assert line.admits(provider.pk, now=timezone.now()) == Admission.PROBE


def test_call_of_which_nobody_knows_how_it_went_is_not_counted_as_answered(provider: Provider) -> None:
    with pytest.raises(KeyError), line.turn(provider.pk, expires=12.0):
        raise KeyError
    assert (CallTally.objects.exists(), row().under_way, len(row().departures)) == (False, [], 1)


def test_probe_without_a_call_is_given_back_and_that_of_a_call_is_not(provider: Provider, call: Call) -> None:
    for _ in range(MOST):
        call(FAILED)
    assert probes(provider)
    assert line.admits(provider.pk, now=timezone.now()) == Admission.CLOSED
    assert line.release(provider.pk, now=timezone.now())
    assert (line.admits(provider.pk, now=timezone.now()), row().probes) == (Admission.PROBE, 1)
    call(FAILED)
    assert not line.release(provider.pk, now=timezone.now())
    assert line.admits(provider.pk, now=timezone.now()) == Admission.CLOSED


def test_end_of_the_first_pause_is_known(provider: Provider) -> None:
    now = timezone.now()
    assert line.first_pause_ends(now=now) is None
    for seconds in (-1, 5, 60):
        other = make_provider(f"p{seconds}")
        ProviderLine.objects.create(provider=other, paused_until=now + timedelta(seconds=seconds))
    assert line.first_pause_ends(now=now) == now + timedelta(seconds=5)
