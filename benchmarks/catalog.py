"""The catalog's pages for visitors, warm, beside a bare Django view: over HTTP from the same two processes, and without
a server in this one, where the bare view is also measured with no middleware at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import repeat
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import load
from benchmarks.stage import Stage, report

if TYPE_CHECKING:
    from django.core.handlers.wsgi import WSGIHandler

COURSES, ROUNDS, CONNECTIONS = 40, 5, 16
PAGES = {"courses": "/en/courses/", "courses_found": "/en/courses/?words=beginners", "course": "/en/courses/course-0/"}
BARE = "/bare/page/"


def main(stage: Stage) -> None:
    from random import Random

    from benchmarks import titles

    dice = Random(5)
    words = titles.words_of(dice, 200)
    titles.make_courses(titles.make_programme(words), COURSES, start=0, dice=dice, words=words)
    with stage.web() as address:
        _over_http(address)
    _without_a_server()


def _over_http(address: load.Address) -> None:
    """A second of each in turn, so that whatever else the machine does meets all of them."""
    rates: dict[str, list[float]] = {}
    for turn in range(ROUNDS + 1):
        for name, path in {"bare": BARE, **PAGES}.items():
            outcome = load.run(address, repeat(_get(path)), connections=CONNECTIONS, seconds=1.0)
            assert set(outcome.statuses) == {200}, (path, outcome.statuses)
            if turn:  # the first warms them
                rates.setdefault(name, []).append(outcome.per_second)
    report("load_ceiling", load.ceiling(_get(BARE), connections=CONNECTIONS), "requests/s", 1)
    for name, found in rates.items():
        report(f"catalog_{name}", median(found), "requests/s", median(found) / median(rates["bare"]))


def _get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Proto: http\r\n\r\n".encode()


def _without_a_server() -> None:
    from django.core.handlers.wsgi import WSGIHandler
    from django.test import override_settings

    full = WSGIHandler()
    with override_settings(MIDDLEWARE=[]):
        none = WSGIHandler()
    bare = _rate(none, BARE)
    report("catalog_in_process_bare_no_middleware", bare, "requests/s", 1)
    report("catalog_in_process_bare", _rate(full, BARE), "requests/s", _rate(full, BARE) / bare)
    for name, path in PAGES.items():
        rate = _rate(full, path)
        report(f"catalog_in_process_{name}", rate, "requests/s", rate / bare)


def _rate(handler: WSGIHandler, path: str) -> float:
    """Requests a second, the median of several short rounds."""
    rates = []
    for _round in range(ROUNDS * 2):
        started = time.perf_counter()
        for _request in range(200):
            _ask(handler, path)
        rates.append(200 / (time.perf_counter() - started))
    return median(rates)


def _ask(handler: WSGIHandler, path: str) -> None:
    from django.test import RequestFactory

    if path not in _ASKED:
        _ASKED[path] = RequestFactory(HTTP_HOST="127.0.0.1").get(path).environ
    response = handler(_ASKED[path].copy(), _start)
    assert response.status_code == 200
    response.close()


_ASKED: dict[str, dict[str, Any]] = {}


def _start(status: str, headers: list[tuple[str, str]], *_error: object) -> Callable[[bytes], object]:
    """Nobody waits for it."""
    return bytes
