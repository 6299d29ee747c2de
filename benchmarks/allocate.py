"""The seats with 100,000 waiting: what is read, what is given and released beside bare SQL that writes the same, and a
newcomer behind all of them."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from benchmarks.stage import Stage, Work, milliseconds, report, set_up

if TYPE_CHECKING:
    from enrollment.models import Enrollment, SeatPool
    from libraries.models import User

WAITING, SEATS, ROUNDS = 100_000, 1_000, 5


def main(stage: Stage) -> None:
    from benchmarks import crowd, newcomer, our_seats, rows

    rows.make_libraries()
    mo = our_seats.make_coordinator()
    pool = rows.make_pool("allocate", cap=0)
    alone = newcomer.apply_some(rows.make_pool("nobody-waits", cap=0), start=20_000_000)
    crowd.gather(pool, 2 * ROUNDS * SEATS, card="claimed")
    our_seats.raise_cap(pool, seats=2 * ROUNDS * SEATS, by=mo)  # all held, to be released
    crowd.gather(pool, WAITING)
    crowd.settle()
    _read(pool, mo)
    queued = newcomer.apply_some(pool, start=20_001_000)
    report("newcomer_behind_100000", queued, "ms", alone / queued)
    report("newcomer_alone", alone, "ms", 1)
    crowd.gather(pool, 4 * ROUNDS * SEATS)  # so that 100,000 wait to the end
    crowd.settle()
    _write(pool, mo)
    _give_all(mo)


def _read(pool: SeatPool, mo: User) -> None:
    """Beside one count of all who wait."""
    from django.utils import timezone

    from benchmarks import bare_seats, our_seats
    from enrollment import waiting_list
    from enrollment.models import Enrollment
    from enrollment.reports import workload
    from enrollment.reports.audit import audit

    line = Enrollment.objects.in_line().filter(pool=pool).in_queue_order().select_related("share", "pool__programme")
    half, last = line[WAITING // 2 - 1], line[WAITING - 1]
    assert (waiting_list.place_of(half), waiting_list.place_of(last)) == (WAITING // 2, WAITING)
    our_seats.check()
    works: dict[str, Work] = {
        "line_counted": lambda: bare_seats.count_line(pool.pk),
        "place_50000": lambda: waiting_list.place_of(half),
        "place_100000": lambda: waiting_list.place_of(last),
        "place_explained": lambda: _explain(last),
        "preview_1000": lambda: our_seats.preview(pool, seats=SEATS, by=mo),
        "preview_100000": lambda: our_seats.preview(pool, seats=WAITING, by=mo),
        "first_page": lambda: (workload.workload(mo, now=timezone.now()), workload.programmes(mo)),
        "first_page_audit": lambda: audit(now=timezone.now(), slow=False),
        "full_audit": lambda: audit(now=timezone.now()),
    }
    times = {name: median(milliseconds(work) for _ in range(ROUNDS)) for name, work in works.items()}
    for name, value in times.items():
        report(name, value, "ms", times["line_counted"] / value)


def _explain(enrollment: Enrollment) -> None:
    """The place, what may be expected, and the reasons of the days on which it changed."""
    from django.utils import timezone

    from enrollment.reports.prospect import prospect_of

    prospect = prospect_of(enrollment, now=timezone.now())
    assert prospect is not None
    assert prospect.place == WAITING
    list(prospect.days)


def _write(pool: SeatPool, mo: User) -> None:
    from benchmarks import bare_seats, our_seats

    _compare(
        "raise_1000",
        lambda: our_seats.raise_cap(pool, seats=SEATS, by=mo),
        lambda: bare_seats.raise_cap(pool.pk, seats=SEATS),
    )
    _compare(
        "release_1000",
        lambda: our_seats.release(seats=SEATS),
        lambda: bare_seats.release(pool.pk, seats=SEATS),
        before=lambda: our_seats.make_overdue(pool, seats=SEATS),
    )
    our_seats.check()


def _give_all(mo: User) -> None:
    """Everybody who waits gets a seat, at once."""
    from benchmarks import bare_seats, crowd, our_seats, rows

    ours, bare = (rows.make_pool(slug, cap=0) for slug in ("everybody", "everybody-bare"))
    for pool in (ours, bare):
        crowd.gather(pool, WAITING)
    crowd.settle()
    _compare(
        "raise_100000",
        lambda: our_seats.raise_cap(ours, seats=WAITING, by=mo),
        lambda: bare_seats.raise_cap(bare.pk, seats=WAITING),
        rounds=1,
    )
    our_seats.check()


def _compare(name: str, ours: Work, bare: Work, *, before: Work = lambda: None, rounds: int = ROUNDS) -> None:
    """In turn: whatever else the machine does meanwhile slows both."""
    times: dict[Work, list[float]] = {ours: [], bare: []}
    for _ in range(rounds):
        for work in (ours, bare):
            before()
            times[work].append(milliseconds(work))
    value, least = median(times[ours]), median(times[bare])
    report(name, value, "ms", least / value)
    report(f"{name}_bare", least, "ms", 1)


if __name__ == "__main__":
    with set_up() as stage:
        main(stage)
