"""The whole sign-up of a member: every page from the first to the result, and all that is owed then: an account at the
training platform and every letter. Beside the same number of requests for a page that does nothing."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.load import Address, run
from benchmarks.stage import Stage, report, set_up
from benchmarks.visitor import Codes, Visitor

if TYPE_CHECKING:
    from benchmarks.rows import Member

MEMBERS, AT_ONCE = 200, 16
FIRST = 10_000_000  # not among the members of the claim


def main(stage: Stage) -> None:
    from benchmarks import rows

    rows.make_libraries()
    rows.make_pool("sign-up", cap=1_000_000)
    members = rows.make_visitors(MEMBERS + AT_ONCE, start=FIRST)
    with stage.outside_world(), stage.web() as site, stage.workers():
        asyncio.run(_all_come(site, stage, members[:AT_ONCE]))
        _wait_until_done()
        health = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"
        ceiling = run(site, iter(lambda: health, b""), connections=AT_ONCE, seconds=2).per_second
        _measure(site, stage, members[AT_ONCE:], ceiling)


def _measure(site: Address, stage: Stage, members: list[Member], ceiling: float) -> None:
    started = time.perf_counter()
    requests, times = asyncio.run(_all_come(site, stage, members))
    seen = time.perf_counter() - started
    _wait_until_done()
    done = time.perf_counter() - started
    possible = ceiling * len(members) / requests
    report("signup_pages", len(members) / seen, "members/s", len(members) / seen / possible)
    report("signup_done", len(members) / done, "members/s", len(members) / done / possible)
    report("signup_requests", requests / len(members), "requests", 1)
    report("signup_p50", sorted(times)[len(times) // 2] * 1000, "ms", 1)
    report("signup_ceiling", possible, "members/s", 1)


async def _all_come(site: Address, stage: Stage, members: list[Member]) -> tuple[int, list[float]]:
    """So many at a time; says how many requests they made, and how long each took."""
    codes, waiting, times = Codes(stage.mail), iter(members), list[float]()

    async def one_after_another() -> int:
        requests = 0
        for member in waiting:
            started = time.perf_counter()
            requests += await _sign_up(site, member, codes)
            times.append(time.perf_counter() - started)
        return requests

    return sum(await asyncio.gather(*(one_after_another() for _ in range(AT_ONCE)))), times


async def _sign_up(site: Address, member: Member, codes: Codes) -> int:
    visitor = Visitor(site, member.address)
    await visitor.get("/join/?programme=sign-up")
    confirm = await visitor.post("/join/?programme=sign-up", {"email": member.email})
    card = "/join/card/?programme=sign-up"
    await visitor.post(confirm, {"code": await codes.of(member.email), "next": card})
    card += f"&library={member.library_id}"
    await visitor.get(card)
    names = {"first_name": "Ada", "last_name": "Peeters", "language": "nl"}
    result = await visitor.post(card, {"number": member.card, "second_fact": "18/05/1944", **names})
    if not result.startswith("/join/done/"):
        sys.exit(f"the sign-up ended at {result}")
    return visitor.requests


def _wait_until_done() -> None:
    """Everything that is owed; the workers ring for each other, and beat's sweep would help after 15 s."""
    from django.db import connection

    from enrollment.models import Letter, ProviderAccount

    until = time.monotonic() + 120
    while ProviderAccount.objects.owed().exists() or Letter.objects.owed().exists():
        if time.monotonic() > until:
            sys.exit("not everything that is owed was done in two minutes")
        time.sleep(0.05)
    connection.close()


if __name__ == "__main__":
    with set_up() as stage:
        main(stage)
