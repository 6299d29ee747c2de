"""A card that is proved by its library's system: alone, and 200 people at once before a system that is slow and allows
four connections; beside it what everybody else waits for a page meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks import load
from benchmarks.load import Address
from benchmarks.stage import Stage, milliseconds, report, set_up

if TYPE_CHECKING:
    from benchmarks.rows import Member
    from libraries.models import Institution
    from portal.sandbox.library import LibraryServer

QUESTIONS, PEOPLE, ALONE = 200, 200, 20
SECONDS, CONNECTIONS, PROCESSES = 0.5, 4, 2
SECRET = "0123456789abcdef0123456789abcdef"


def main(stage: Stage) -> None:
    from benchmarks import rows
    from portal.sandbox.library import LibraryServer
    from portal.sandbox.library_faults import FaultFile

    library_id = _make_library()
    rows.make_pool("cards", cap=1_000_000)
    members = rows.make_members(PEOPLE + ALONE, start=0)
    heard: list[bytes] = []
    fault = FaultFile(stage.folder / "library.fault")
    password = os.environ["SANDBOX_LIBRARY_PASSWORD"]
    server = LibraryServer(password=password, fault=fault, heard=heard, most_connections=CONNECTIONS)
    with _running(server):
        _measure_checks(library_id, server)
        server.seconds = SECONDS
        heard.clear()
        with stage.web() as site:
            _measure_alone(site, members[PEOPLE:], library_id)
            quiet = asyncio.run(_look(site, until=time.monotonic() + 3))
            heard.clear()
            _measure_rush(site, members[:PEOPLE], library_id, quiet)
    _require_one_question_each(heard)


def _make_library() -> int:
    """Kortrijk's, with its system; both web processes together open as many connections as the system allows."""
    from libraries.models import Institution, Library, LibrarySystem
    from portal.sandbox import library

    place = {"postal_code": "8500", "city": "Kortrijk"}
    kortrijk = Institution.objects.create(slug="kortrijk", name="Kortrijk", card_check="sip2", **place)
    LibrarySystem.objects.create(
        institution=kortrijk,
        address=library.HOST,
        port=int(os.environ["SANDBOX_LIBRARY_PORT"]),
        tls=False,
        login=library.USER,
        location=library.LOCATION,
        institution_code=library.INSTITUTION,
        secret_name="SANDBOX_LIBRARY_PASSWORD",
        most_connections=CONNECTIONS // PROCESSES,
    )
    return Library.objects.create(institution=kortrijk, name="Kortrijk", **place).pk


@contextlib.contextmanager
def _running(server: LibraryServer) -> Iterator[None]:
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        ending, _port = portal.start_task(server.run, int(os.environ["SANDBOX_LIBRARY_PORT"]))
        yield
        ending.cancel()


# --- The check alone, with a system that answers at once ---


def _measure_checks(library_id: int, server: LibraryServer) -> None:
    from libraries.cards import sip2_pool
    from libraries.models import Library

    kortrijk = Library.objects.select_related("institution").get(pk=library_id).institution
    bare = _bare_exchange()
    report("card_bare", bare, "ms", 1)

    def anew() -> None:
        sip2_pool.close_all()
        _ask(kortrijk, 0)

    first = median(milliseconds(anew) for _ in range(ALONE))
    kept = median(milliseconds(lambda: _ask(kortrijk, number)) for number in range(QUESTIONS))  # noqa: B023
    report("card_check_new_connection", first, "ms", bare / first)
    report("card_check", kept, "ms", bare / kept)
    sip2_pool.close_all()


def _ask(kortrijk: Institution, number: int) -> None:
    from libraries import membership
    from libraries.cards.checks import Outcome, Question

    card = _cards()[number]
    question = Question(number=card[0], last_name="", on=date.today(), pin=card[1])
    assert membership.ask(kortrijk, question).outcome == Outcome.CONFIRMED


def _cards() -> list[tuple[str, str]]:
    from portal.sandbox.library_cards import Condition, cards_of

    return [(card.number, card.pin) for card in cards_of(Condition.GOOD)]


def _bare_exchange() -> float:
    """The same bytes over a socket, with nothing around it."""
    from portal.sandbox import library

    number, pin = _cards()[0]
    login = f"9300CN{library.USER}|CO{os.environ['SANDBOX_LIBRARY_PASSWORD']}|\r".encode()
    question = f"2300120260101    120000AO|AA{number}|AC|AD{pin}|\r".encode()
    with socket.create_connection((library.HOST, int(os.environ["SANDBOX_LIBRARY_PORT"]))) as line:
        line.sendall(login)
        line.recv(4096)
        return median(milliseconds(lambda: _exchange(line, question)) for _ in range(QUESTIONS))


def _exchange(line: socket.socket, question: bytes) -> None:
    line.sendall(question)
    line.recv(4096)


# --- Through the pages, with a system that takes half a second ---


def _measure_alone(site: Address, members: Sequence[Member], library_id: int) -> None:
    cards = _cards()[PEOPLE:]
    posts = [_apply(member, library_id, card) for member, card in zip(members, cards, strict=False)]
    outcome = load.run(site, iter(posts), connections=1, seconds=60)
    if set(outcome.statuses) != {302}:
        sys.exit(f"not all were accepted: {dict(outcome.statuses)}")
    alone = median(outcome.times) * 1000
    report("card_apply_alone_p50", alone, "ms", SECONDS * 1000 / alone)


def _measure_rush(site: Address, members: Sequence[Member], library_id: int, quiet: list[float]) -> None:
    posts = [_apply(member, library_id, card) for member, card in zip(members, _cards(), strict=False)]
    began = time.perf_counter()
    times, turned_away, others = asyncio.run(_rush(site, posts))
    seconds = time.perf_counter() - began
    states = _states()
    report("card_rush", len(times) / seconds, "members/s", len(times) / seconds * SECONDS / CONNECTIONS)
    report("card_rush_confirmed", states["confirmed"] - len(_cards()[PEOPLE:][:ALONE]), "members", 1)
    report("card_rush_kept_for_later", states["claimed"], "members", 1)
    report("card_rush_asked_to_wait", turned_away, "times", 1)
    report("card_rush_p50", median(times), "s", 1)
    report("card_rush_last", max(times), "s", 1)
    for name, figure in _PERCENTILES.items():
        report(f"card_rush_other_page_{name}", figure(others), "ms", figure(quiet) / figure(others))


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20, method="inclusive")[18]


_PERCENTILES: dict[str, Callable[[list[float]], float]] = {"p50": median, "p95": _p95, "max": max}


def _states() -> Counter[str]:
    from libraries.models import Card

    return Counter(Card.objects.filter(institution__slug="kortrijk").values_list("state", flat=True))


async def _rush(site: Address, posts: Sequence[bytes]) -> tuple[list[float], int, list[float]]:
    """All at once; who is asked to wait does what the page does. How long each took until the answer, how often
    somebody was asked to wait, and the milliseconds that other pages took meanwhile."""
    over = asyncio.Event()
    others = asyncio.create_task(_look_until(site, over))
    done = await asyncio.gather(*(_patiently(site, post) for post in posts))
    over.set()
    return [seconds for seconds, _ in done], sum(waits for _, waits in done), await others


async def _patiently(site: Address, post: bytes) -> tuple[float, int]:
    from enrollment.views.joining import RETRY_AFTER

    began, waits = time.perf_counter(), 0
    while (status := await _send(site, post)) == 503:
        waits += 1
        await asyncio.sleep(RETRY_AFTER + random.uniform(0, 2))
    if status != 302:
        sys.exit(f"somebody was answered with {status}")
    return time.perf_counter() - began, waits


async def _send(site: Address, request: bytes) -> int:
    reader, writer = await asyncio.open_connection(*site)
    writer.write(request)
    status, _keeps = await load.read(reader)
    writer.close()
    return status


async def _look(site: Address, *, until: float) -> list[float]:
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(until - time.monotonic(), over.set)
    return await _look_until(site, over)


async def _look_until(site: Address, over: asyncio.Event) -> list[float]:
    """Somebody who looks at the front page again and again, ten times a second."""
    request, times = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n", list[float]()
    while not over.is_set():
        began = time.perf_counter()
        await _send(site, request)
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.1)
    return times


def _apply(member: Member, library_id: int, card: tuple[str, str]) -> bytes:
    form = {"number": card[0], "pin": card[1], "first_name": "Ada", "last_name": "Peeters", "language": "nl"}
    path = f"/join/card/?programme=cards&library={library_id}"
    cookies = {"session": member.session, "csrf": SECRET}
    headers = {"X-Forwarded-For": member.address, "X-Forwarded-Proto": "http"}
    return load.post(path, form | {"csrfmiddlewaretoken": SECRET}, cookies=cookies, headers=headers)


def _require_one_question_each(heard: Sequence[bytes]) -> None:
    questions = [frame for frame in b"".join(heard).split(b"\r") if b"|AA" in frame]
    numbers = Counter(frame.split(b"|AA")[1].split(b"|")[0] for frame in questions)
    twice = {number for number, times in numbers.items() if times > 1}
    if twice:
        sys.exit(f"{len(twice)} cards were asked about more than once")
    report("card_rush_questions", len(questions), "questions", 1)


if __name__ == "__main__":
    with set_up() as stage:
        main(stage)
