"""Ringing never waits, and many rings while one is under way become one more."""

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from enrollment.doorbell import Doorbell


class Broker:
    """Takes a ring only when it is let; counts."""

    def __init__(self) -> None:
        self.rung = 0
        self.at_work, self.may_end = threading.Event(), threading.Event()

    def publish(self) -> None:
        self.rung += 1
        self.at_work.set()
        self.may_end.wait(5)


def until(condition: Callable[[], bool], *, within: float = 5.0) -> bool:
    end = time.monotonic() + within
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


def test_ring_does_not_wait_for_the_broker() -> None:
    broker = Broker()
    bell = Doorbell(broker.publish)
    started = time.monotonic()
    bell.ring()
    assert time.monotonic() - started < 1
    assert broker.at_work.wait(5)
    broker.may_end.set()


def test_rings_under_way_become_one_more() -> None:
    broker = Broker()
    bell = Doorbell(broker.publish)
    bell.ring()
    assert broker.at_work.wait(5)
    for _ in range(50):
        bell.ring()
    broker.may_end.set()
    assert until(lambda: broker.rung == 2)
    time.sleep(0.05)
    assert broker.rung == 2


def test_ring_after_quiet_rings_again() -> None:
    broker = Broker()
    broker.may_end.set()
    bell = Doorbell(broker.publish)
    for number in (1, 2, 3):
        bell.ring()
        assert until(partial(lambda wanted: broker.rung == wanted, number))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_ring_works_again_after_a_ring_that_failed() -> None:
    calls: list[int] = []

    def publish() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError

    bell = Doorbell(publish)
    bell.ring()
    assert until(lambda: bell._thread is not None and not bell._thread.is_alive())
    bell.ring()
    assert until(lambda: len(calls) == 2)
