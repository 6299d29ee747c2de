"""HTTP with an identity provider, which the operator has named: one deadline for all that a page asks of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from time import monotonic
from typing import Any

import requests

from outgoing import http

CONNECT_WITHIN, READ_WITHIN = 3.0, 5.0
# For everything that one page asks of the provider.
ALL_WITHIN = 10.0
MOST_BYTES = 512 * 1024
# So many threads of this process wait for providers at once, beside those that wait for library systems
# (enrollment.asking): a slow provider leaves the others to everybody else.
MOST_AT_ONCE = 2
_room = BoundedSemaphore(MOST_AT_ONCE)


class BadAnswer(Exception):
    """The provider answers, and not with what was asked for. Never with the answer's text: it may hold a token."""


class NoAnswer(BadAnswer):
    """The provider cannot be reached, is too slow, or says itself that it cannot; or too many wait for one already."""


@dataclass(frozen=True)
class Exchange:
    """All that is asked through one exchange shares one deadline, counted from its making."""

    ends_at: float = field(default_factory=lambda: monotonic() + ALL_WITHIN)

    def document(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        """The JSON object that the provider answers with. Raises NoAnswer or BadAnswer."""
        bounds = http.Bounds(
            ends_at=self.ends_at, max_bytes=MOST_BYTES, connect_timeout=CONNECT_WITHIN, read_timeout=READ_WITHIN
        )
        try:
            with _place_to_wait(), http.new_session(private=True, schemes=("https", "http")) as session:
                answer = http.send(session, requests.Request(method, address, **more), bounds)
        except http.RequestFailed as error:
            raise NoAnswer(error.code.value) from None
        if answer.status >= 500 or answer.status == 429:
            raise NoAnswer(f"status {answer.status}")
        return _parsed(answer)


@contextmanager
def _place_to_wait() -> Iterator[None]:
    if not _room.acquire(blocking=False):
        raise NoAnswer("too many wait")
    try:
        yield
    finally:
        _room.release()


def _parsed(answer: http.Response) -> dict[str, Any]:
    try:
        found = json.loads(answer.content) if answer.status == 200 else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadAnswer(f"status {answer.status}, or no JSON")
    return found
