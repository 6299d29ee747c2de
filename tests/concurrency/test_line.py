"""The provider's allowance is kept by all workers together, and while it is down one of them tries it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from socketserver import BaseRequestHandler, ThreadingTCPServer
from urllib.parse import urlsplit

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.db.models import Sum

from catalog import line
from catalog.models import CallTally, Provider, ProviderLine
from catalog.provider.errors import ProviderError, Refused, Unreachable
from portal.sandbox.servers import free_port
from tests.concurrency import line_callers
from tests.concurrency.line_callers import Callers
from tests.factories import make_provider

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

PROCESSES = 2
RATE, PLACES = 25, 4
WINDOW = round(line.WINDOW * 1_000_000)
# The guards, as they stand in the statement that takes a turn.
LOCK = "FOR NO KEY UPDATE OF line"
SLOWLY = ("AS at FROM locked", "AS at FROM locked, pg_sleep(0.01)")
BY_PLACES = "WHEN cardinality(busy) >= allowed THEN 'full'"
BY_DEPARTURES = """,
        taken[cardinality(taken)] + %(distance)s / rate,
        taken[cardinality(taken) - rate + 1] + %(window)s"""


class CountingServer(ThreadingTCPServer):
    """Answers after a while, and knows when it was asked what, and how many it was asked at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.seconds = seconds
        self.asked_at: list[float] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.go = threading.Event()
        self.go.set()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def most_within(self, seconds: float) -> int:
        moments = sorted(self.asked_at)
        return max(sum(start <= moment < start + seconds for moment in moments) for start in moments)


class Answering(BaseRequestHandler):
    server: CountingServer

    def handle(self) -> None:
        self.request.recv(1)
        with self.server.lock:
            self.server.asked_at.append(time.monotonic())
            self.server.at_once += 1
            self.server.most_at_once = max(self.server.most_at_once, self.server.at_once)
        time.sleep(self.server.seconds)
        with self.server.lock:
            self.server.at_once -= 1
        self.request.sendall(b"!")


@pytest.fixture
def server() -> Iterator[CountingServer]:
    with CountingServer(seconds=0.05) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def callers(django_db_setup: None) -> Iterator[Callers]:
    with line_callers.running(PROCESSES, database_url()) as callers:
        yield callers


@pytest.fixture
def provider() -> Provider:
    return make_provider(calls_per_second=RATE, calls_at_once=PLACES)


def database_url() -> str:
    """The tests' own, which pytest-django has made beside the one in the settings."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


def shortest(slots: list[int]) -> int:
    """The shortest time in which one call more left than are allowed in a second, in microseconds."""
    return min(later - earlier for earlier, later in zip(slots, slots[RATE:], strict=False))


# --- The allowance: two processes with eight threads each ---


def test_no_window_of_a_second_holds_more_calls_than_allowed(
    provider: Provider, callers: Callers, server: CountingServer
) -> None:
    slots = callers.call(provider=provider.pk, port=server.port, calls=RATE)
    assert len(slots) == len(server.asked_at) == PROCESSES * RATE
    assert shortest(slots) >= WINDOW
    # What is counted at the server has been on its way, on a machine that does other things as well.
    assert server.most_within(0.9) <= RATE
    assert server.most_at_once <= PLACES


def test_no_more_calls_at_once_than_allowed(provider: Provider, callers: Callers, server: CountingServer) -> None:
    Provider.objects.update(calls_per_second=1000)
    callers.call(provider=provider.pk, port=server.port, calls=RATE)
    assert server.most_at_once == PLACES


def test_without_the_look_at_departures_more_leave_in_a_second(
    provider: Provider, callers: Callers, server: CountingServer
) -> None:
    """The proof that the tests above can fail; so are the next two."""
    slots = callers.call(provider=provider.pk, port=server.port, calls=RATE, changed=[(BY_DEPARTURES, "")])
    assert shortest(slots) < WINDOW
    assert server.most_within(0.9) > RATE


def test_without_the_look_at_places_more_are_under_way(
    provider: Provider, callers: Callers, server: CountingServer
) -> None:
    Provider.objects.update(calls_per_second=1000)
    callers.call(provider=provider.pk, port=server.port, calls=RATE, changed=[(BY_PLACES, "")])
    assert server.most_at_once > PLACES


def test_with_time_between_look_and_write_the_lock_alone_keeps_the_allowance(
    provider: Provider, callers: Callers, server: CountingServer
) -> None:
    Provider.objects.update(calls_per_second=1000)
    callers.call(provider=provider.pk, port=server.port, calls=RATE, changed=[SLOWLY])
    assert server.most_at_once <= PLACES


def test_without_the_lock_more_are_under_way(provider: Provider, callers: Callers, server: CountingServer) -> None:
    Provider.objects.update(calls_per_second=1000)
    callers.call(provider=provider.pk, port=server.port, calls=RATE, changed=[SLOWLY, (LOCK, "")], expires=0.5)
    assert server.most_at_once > PLACES


def test_every_call_is_counted_and_every_place_given_back(
    provider: Provider, callers: Callers, server: CountingServer
) -> None:
    Provider.objects.update(calls_per_second=1000, calls_at_once=100)
    server.seconds = 0.0
    callers.call(provider=provider.pk, port=server.port, calls=50)
    assert CallTally.objects.aggregate(calls=Sum("count"))["calls"] == PROCESSES * 50
    assert sum(sum(buckets) for buckets in CallTally.objects.values_list("buckets", flat=True)) == PROCESSES * 50
    assert ProviderLine.objects.get().under_way == []


def test_place_of_a_worker_that_was_killed_is_free_when_it_is_overdue(
    provider: Provider, server: CountingServer
) -> None:
    Provider.objects.update(calls_at_once=1)
    server.seconds = 60.0
    with line_callers.running(1, database_url()) as callers:
        [process] = callers.processes
        callers.call(provider=provider.pk, port=server.port, calls=1, expires=1.0, hold=True)
        [until] = ProviderLine.objects.get().under_way
        process.kill()
        process.wait()
    with line.turn(provider.pk, expires=12.0):
        found = ProviderLine.objects.get()
        assert len(found.under_way) == 1
        assert found.departures[-1] >= until


# --- Where the database does not answer ---


@pytest.fixture
def take_the_database_away(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    def take_away() -> None:
        connection.close()
        monkeypatch.setitem(connection.settings_dict, "PORT", str(free_port()))

    yield take_away
    monkeypatch.undo()
    connection.close()


def test_no_call_is_made_without_the_database(provider: Provider, take_the_database_away: Callable[[], None]) -> None:
    take_the_database_away()
    with pytest.raises(OperationalError), line.turn(provider.pk, expires=12.0):
        pytest.fail("a call was made")


@pytest.mark.parametrize("error", [Refused("name_taken"), Unreachable("timeout")], ids=str)
def test_what_became_of_a_call_is_told_although_it_cannot_be_written(
    provider: Provider, take_the_database_away: Callable[[], None], error: ProviderError
) -> None:
    call = line.turn(provider.pk, expires=12.0)
    call.__enter__()
    take_the_database_away()
    assert not call.__exit__(type(error), error, None)  # as it is, and no other instead


def test_database_that_hangs_up_before_the_turn_lets_no_call_through(provider: Provider) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [pid] = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()
    with pytest.raises(DatabaseError), line.turn(provider.pk, expires=12.0):
        pytest.fail("a call was made")
    connection.close()
