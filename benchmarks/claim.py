"""The claim over HTTP: the join card's post, pool open and pool full, beside a bare post in the same run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from benchmarks import load
from benchmarks.load import Address, Outcome
from benchmarks.stage import Stage, report, set_up

if TYPE_CHECKING:
    from benchmarks.rows import Member

CONNECTIONS, TURNS, MOST_PER_SECOND = (1, 8, 32, 64), 4, 400
SECRET = "0123456789abcdef0123456789abcdef"


def main(stage: Stage) -> None:
    from django.db import connection

    from benchmarks import bare, rows

    rows.make_libraries()
    rows.make_pool("open", cap=1_000_000)
    rows.make_pool("full", cap=0)
    with connection.cursor() as cursor:
        cursor.execute(bare.TABLE)
    count = TURNS * MOST_PER_SECOND
    with stage.web() as address:
        everybody = rows.make_members(2 * count * len(CONNECTIONS) + 100, start=0)
        _analyze()
        newcomers = iter(everybody)
        _warm_up(address, newcomers)
        ceiling = load.ceiling(_bare(everybody[0]), connections=32)
        for connections in CONNECTIONS:
            _compare(address, connections, everybody, newcomers)
    report("load_ceiling", ceiling, "requests/s", 1)


def _warm_up(address: Address, newcomers: Iterator[Member]) -> None:
    first = [next(newcomers) for _ in range(100)]
    for slug in ("open", "full"):
        load.run(address, (_claim(member, slug) for member in first), connections=8, seconds=10)


def _compare(address: Address, connections: int, everybody: Sequence[Member], newcomers: Iterator[Member]) -> None:
    """A second of each in turn: whatever else the machine does meanwhile slows all of them."""
    kinds: dict[str, Iterator[bytes]] = {
        "bare": map(_bare, cycle(everybody)),
        "claim_open": (_claim(member, "open") for member in newcomers),
        "claim_full": (_claim(member, "full") for member in newcomers),
    }
    outcomes = {name: Outcome() for name in kinds}
    for _ in range(TURNS):
        for name, requests in kinds.items():
            outcomes[name].add(load.run(address, requests, connections=connections, seconds=1.0))
    for name, outcome in outcomes.items():
        if set(outcome.statuses) != {302}:
            sys.exit(f"{name}: not all were accepted: {dict(outcome.statuses)}")
        _report(f"{name}_{connections}", outcome, outcomes["bare"])


def _report(name: str, outcome: Outcome, bare: Outcome) -> None:
    report(name, outcome.per_second, "requests/s", outcome.per_second / bare.per_second)
    for percent in (50, 99):
        value = outcome.percentile(percent)
        report(f"{name}_p{percent}", value, "ms", bare.percentile(percent) / value)


def _claim(member: Member, slug: str) -> bytes:
    form = {"number": member.card, "second_fact": "18/05/1944", "first_name": "Ada", "last_name": "Peeters"}
    path = f"/join/card/?programme={slug}&library={member.library_id}"
    return _post(path, form | {"language": "nl"}, member)


def _bare(member: Member) -> bytes:
    return _post("/bare/", {}, member)


def _post(path: str, form: dict[str, str], member: Member) -> bytes:
    cookies = {"session": member.session, "csrf": SECRET}
    headers = {"X-Forwarded-For": member.address, "X-Forwarded-Proto": "http"}
    return load.post(path, form | {"csrfmiddlewaretoken": SECRET}, cookies=cookies, headers=headers)


def _analyze() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def selected(arguments: Sequence[str]) -> tuple[int, ...]:
    return tuple(int(argument) for argument in arguments) or CONNECTIONS


if __name__ == "__main__":
    CONNECTIONS = selected(sys.argv[1:])  # type: ignore[assignment]
    with set_up() as stage:
        main(stage)
