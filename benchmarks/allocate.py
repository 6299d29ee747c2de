"""The seats with 100,000 waiting: what is read, what is given and released beside bare SQL that writes the same, and a
newcomer behind all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.stage import Stage, report, set_up

if TYPE_CHECKING:
    from enrollment.cap_plan import Plan
    from enrollment.models import SeatPool
    from libraries.models import User

WAITING, SEATS, ROUNDS = 100_000, 1_000, 5
Work = Callable[[], object]


def main(stage: Stage) -> None:
    from benchmarks import crowd, newcomer, rows

    rows.make_libraries()
    mo = _coordinator()
    pool = rows.make_pool("allocate", cap=0)
    alone = newcomer.milliseconds(rows.make_pool("nobody-waits", cap=0), start=20_000_000)
    crowd.gather(pool, 2 * ROUNDS * SEATS, card="claimed")
    _raise(pool, mo, 2 * ROUNDS * SEATS)  # all held
    crowd.gather(pool, WAITING)
    crowd.settle()
    _read(pool, mo)
    queued = newcomer.milliseconds(pool, start=20_001_000)
    report("newcomer_behind_100000", queued, "ms", alone / queued)
    report("newcomer_alone", alone, "ms", 1)
    crowd.gather(pool, 4 * ROUNDS * SEATS)  # so that 100,000 wait to the end
    _write(pool, mo)
    _give_all(mo)


def _read(pool: SeatPool, mo: User) -> None:
    """Beside one count of all who wait."""
    from django.utils import timezone

    from benchmarks import bare_seats
    from enrollment import waiting_list
    from enrollment.models import Enrollment
    from enrollment.reports import workload
    from enrollment.reports.audit import audit

    line = Enrollment.objects.in_line().filter(pool=pool).in_queue_order()
    half, last = line[WAITING // 2 - 1], line[WAITING - 1]
    assert (waiting_list.place_of(half), waiting_list.place_of(last)) == (WAITING // 2, WAITING)
    _check()
    works: dict[str, Work] = {
        "line_counted": lambda: bare_seats.count_line(pool.pk),
        "place_in_queue_50000": lambda: waiting_list.place_of(half),
        "place_in_queue_100000": lambda: waiting_list.place_of(last),
        "preview_1000": lambda: _preview(pool, mo, SEATS),
        "preview_100000": lambda: _preview(pool, mo, WAITING),
        "first_page_work": lambda: (workload.workload(mo, now=timezone.now()), workload.programmes(mo)),
        "first_page_audit": lambda: audit(now=timezone.now(), slow=False),
        "full_audit": lambda: audit(now=timezone.now()),
    }
    times = {name: median(milliseconds(work) for _ in range(ROUNDS)) for name, work in works.items()}
    for name, value in times.items():
        report(name, value, "ms", times["line_counted"] / value)


def _write(pool: SeatPool, mo: User) -> None:
    """Beside bare SQL that writes the same, in turn."""
    from benchmarks import bare_seats

    _compare(
        "raise_1000", lambda: _raise(pool, mo, SEATS), lambda: bare_seats.raise_cap(pool.pk, seats=SEATS), rounds=ROUNDS
    )
    _compare(
        "release_1000",
        lambda: _release(pool),
        lambda: bare_seats.release(pool.pk, seats=SEATS),
        rounds=ROUNDS,
        before=lambda: _make_overdue(pool),
    )
    _check()


def _give_all(mo: User) -> None:
    """Everybody who waits gets a seat, at once."""
    from benchmarks import bare_seats, crowd, rows

    ours, bare = (rows.make_pool(slug, cap=0) for slug in ("everybody", "everybody-bare"))
    for pool in (ours, bare):
        crowd.gather(pool, WAITING)
    crowd.settle()
    _compare(
        "raise_100000",
        lambda: _raise(ours, mo, WAITING),
        lambda: bare_seats.raise_cap(bare.pk, seats=WAITING),
        rounds=1,
    )
    _check()


def _compare(name: str, ours: Work, bare: Work, *, rounds: int, before: Work = lambda: None) -> None:
    times: dict[Work, list[float]] = {ours: [], bare: []}
    for _ in range(rounds):
        for work in (ours, bare):
            before()
            times[work].append(milliseconds(work))
    value, least = median(times[ours]), median(times[bare])
    report(name, value, "ms", least / value)
    report(f"{name}_bare", least, "ms", 1)


def _coordinator() -> User:
    from libraries.models import StaffRole, User

    mo = User.objects.create_user("mo@example.test", is_staff=True)
    StaffRole.objects.create(user=mo, role=StaffRole.Role.COORDINATOR)
    return mo


def _more(pool: SeatPool, seats: int) -> Plan:
    from enrollment.cap_plan import Plan

    pool.refresh_from_db()
    return Plan(cap=pool.cap + seats)


def _preview(pool: SeatPool, mo: User, seats: int) -> None:
    from django.utils import timezone

    from enrollment import cap

    assert cap.preview(pool_id=pool.pk, plan=_more(pool, seats), by=mo, now=timezone.now()).given == seats


def _raise(pool: SeatPool, mo: User, seats: int) -> None:
    """The whole change: ledger, events, letters and owed accounts."""
    from django.utils import timezone

    from enrollment import cap

    plan = _more(pool, seats)
    assert len(cap.change(pool_id=pool.pk, plan=plan, reason="Benchmark", by=mo, now=timezone.now())) == seats


def _make_overdue(pool: SeatPool) -> None:
    from django.utils import timezone

    from enrollment.models import Enrollment

    now = timezone.now()
    held = Enrollment.objects.filter(pool=pool, state="held", hold_until__gt=now).order_by("pk")[:SEATS]
    Enrollment.objects.filter(pk__in=held.values("pk")).update(hold_until=now)


def _release(pool: SeatPool) -> None:
    from django.utils import timezone

    from enrollment import waiting_list

    assert waiting_list.lapse_holds(now=timezone.now()) == SEATS


def _check() -> None:
    from django.utils import timezone

    from enrollment.reports.audit import audit

    assert all(finding.holds for finding in audit(now=timezone.now()))


def milliseconds(work: Work) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    with set_up() as stage:
        main(stage)
