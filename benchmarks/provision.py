"""Accounts that are owed at once, at a provider that takes 200 ms and allows 50 calls a second, and two workers."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.stage import WORKER, Stage, report, set_up, wait_for
from portal.sandbox.programs import Program

ACCOUNTS, BACKLOG = 1_000, 10_000
SECONDS, PER_SECOND, AT_ONCE = 0.2, 50, 24
PROCESSES, THREADS = 2, 12
PATIENCE, SWEEP, LOOK = 120.0, 15.0, 0.1
# So long after it a turn is used or given up.
SETTLED = 0.2
# Of the large backlog so much is worked on as it takes to see what a worker grows to.
LONG_ENOUGH = 12.0


def main(stage: Stage) -> None:
    notes = stage.folder / "calls"
    with _platform(stage, notes):
        _make_provider()
        _owe(ACCOUNTS)
        with _workers(stage) as workers:
            done = _work(workers, until_owed=0)
        _report_calls(done, _read(notes))
        report("provision_memory_1000", done.memory, "MB", 1)
        report("provision_connections_1000", done.connections, "connections", 1)
        _owe(BACKLOG)
        with _workers(stage) as workers:
            more = _work(workers, until_owed=BACKLOG // 2)
        report("provision_memory_10000", more.memory, "MB", done.memory / more.memory)
        report("provision_connections_10000", more.connections, "connections", done.connections / more.connections)


# --- What is there ---


@contextlib.contextmanager
def _platform(stage: Stage, notes: Path) -> Iterator[None]:
    port = str(urlsplit(os.environ["SANDBOX_PLATFORM_URL"]).port)
    with stage.running("platform", "-m", "benchmarks.counted_platform", port, str(notes), str(SECONDS)) as program:
        wait_for(program, "Training platform on")
        yield


@contextlib.contextmanager
def _workers(stage: Stage) -> Iterator[list[Program]]:
    options = ("-Q", "provider", "-c", str(THREADS), "-l", "INFO")
    with contextlib.ExitStack() as stack:
        names = [f"provider{number}-{time.monotonic_ns()}" for number in range(PROCESSES)]
        programs = [stack.enter_context(stage.running(name, *WORKER, *options, "-n", name)) for name in names]
        for program in programs:
            wait_for(program, "ready.")
        yield programs


def _make_provider() -> None:
    from benchmarks import rows

    rows.make_libraries()
    provider = rows.make_pool("provision", cap=0).programme.provider
    provider.calls_per_second, provider.calls_at_once = PER_SECOND, AT_ONCE
    provider.save()


def _owe(number: int) -> None:
    """So many get a seat at once; nothing else is owed at the provider."""
    from benchmarks import crowd, our_seats
    from enrollment.models import ProviderAccount, SeatPool
    from libraries.models import User

    ProviderAccount.objects.owed().update(due_at=None)
    pool = SeatPool.objects.get()
    crowd.gather(pool, number)
    crowd.settle()
    mo = User.objects.filter(is_staff=True).first() or our_seats.make_coordinator()
    our_seats.raise_cap(pool, seats=number, by=mo)
    User.objects.filter(address_proved_at=None).update(address_proved_at="2026-01-01T00:00:00Z")
    if ProviderAccount.objects.unblocked().count() != number:
        sys.exit(f"not {number} accounts are owed")


# --- What happens ---


@dataclass
class _Done:
    """The most memory of a worker in MB, the most connections to the database that all of them had, and when calls left
    by the portal's line, in microseconds."""

    seconds: float = 0.0
    memory: float = 0.0
    connections: int = 0
    departures: set[int] = field(default_factory=set)


def _work(workers: Sequence[Program], *, until_owed: int) -> _Done:
    """Rings, as the scheduler does, until so many are still owed or it is long enough."""
    from enrollment.models import ProviderAccount
    from enrollment.tasks import provision_due

    began, rung_at, done = time.monotonic(), 0.0, _Done()
    while (owed := ProviderAccount.objects.owed().count()) > until_owed:
        now = time.monotonic()
        if until_owed and now - began > LONG_ENOUGH:
            break
        if now - began > PATIENCE:
            sys.exit(f"{owed} accounts are owed still")
        if now - rung_at > SWEEP:
            rung_at = now
            provision_due.apply_async(expires=SWEEP)
        done.memory = max(done.memory, *(_memory_of(worker.pid) for worker in workers))
        done.connections = max(done.connections, _connections())
        done.departures |= _departures()
        time.sleep(LOOK)
    done.seconds = time.monotonic() - began
    time.sleep(SETTLED)
    done.departures |= _departures()
    return done


def _departures() -> set[int]:
    """Of the last second or so, as the line keeps them; not the very last, whose turns may still be given up."""
    from catalog.models import ProviderLine

    kept = ProviderLine.objects.values_list("departures", flat=True)
    until = (time.time() - SETTLED) * 1_000_000
    return {moment for departures in kept for moment in departures if moment <= until}


def _memory_of(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _connections() -> int:
    """Without our own."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def _read(notes: Path) -> list[tuple[float, int]]:
    lines = (line.split() for line in notes.read_text().splitlines())
    return sorted((float(moment), int(at_once)) for moment, at_once in lines)


def _report_calls(done: _Done, calls: Sequence[tuple[float, int]]) -> None:
    """The share of the allowance from the first call to the last. What leaves in a second is the portal's to keep; what
    arrives in one also depends on how long each call was on its way."""
    moments = [moment for moment, _ in calls]
    share = (len(moments) - 1) / (moments[-1] - moments[0]) / PER_SECOND
    arriving, leaving = _most_in_a_second(moments), _most_in_a_second([each / 1e6 for each in sorted(done.departures)])
    report("provision_1000", done.seconds, "s", ACCOUNTS / PER_SECOND / done.seconds)
    report("provision_calls", len(calls), "calls", ACCOUNTS / len(calls))
    report("provision_allowance_used", share * 100, "%", share)
    report("provision_most_in_a_second", arriving, "calls", arriving / PER_SECOND)
    report("provision_departures_seen", len(done.departures), "calls", len(done.departures) / len(calls))
    report("provision_most_leaving_in_a_second", leaving, "calls", leaving / PER_SECOND)
    report("provision_most_at_once", max(at_once for _, at_once in calls), "calls", 1)


def _most_in_a_second(moments: Sequence[float]) -> int:
    """Of any second; the moments in order."""
    return max(bisect_left(moments, start + 1) - place for place, start in enumerate(moments))


if __name__ == "__main__":
    with set_up() as stage:
        main(stage)
