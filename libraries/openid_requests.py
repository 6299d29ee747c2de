"""HTTP with an identity provider: bounded in time and size; no redirects, no retries, nothing from the environment."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any

import requests

CONNECT_WITHIN, READ_WITHIN = 3.0, 5.0
# For everything that one page asks of the provider.
ALL_WITHIN = 10.0
MOST_BYTES = 512 * 1024


class BadAnswer(Exception):
    """The provider answers, and not with what was asked for. Never with the answer's text: it may hold a token."""


class NoAnswer(BadAnswer):
    """The provider cannot be reached, is too slow, or says itself that it cannot."""


@dataclass(frozen=True)
class Exchange:
    """All that is asked through one exchange shares one deadline, counted from its making."""

    ends_at: float = field(default_factory=lambda: monotonic() + ALL_WITHIN)

    def document(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        """The JSON object that the provider answers with. Raises NoAnswer or BadAnswer."""
        answers: SimpleQueue[tuple[int, bytes] | None] = SimpleQueue()
        # In a thread of its own: neither the resolver of names nor a server that drips its headers knows a deadline.
        Thread(target=lambda: answers.put(_answer(method, address, self.ends_at, more)), daemon=True).start()
        try:
            answer = answers.get(timeout=max(0.0, self.ends_at - monotonic()))
        except Empty:
            answer = None
        if answer is None:
            raise NoAnswer("none in time")
        if answer[0] >= 500 or answer[0] == 429:
            raise NoAnswer(f"status {answer[0]}")
        return _parsed(*answer)


def _answer(method: str, address: str, ends_at: float, more: dict[str, Any]) -> tuple[int, bytes] | None:
    """Status and content; None where none came in time."""
    try:
        with requests.Session() as session:
            session.trust_env = False
            timeout = (CONNECT_WITHIN, READ_WITHIN)
            answer = session.request(method, address, timeout=timeout, allow_redirects=False, stream=True, **more)
            return answer.status_code, _content(answer, ends_at)
    except (requests.RequestException, OSError, ValueError):
        return None


def _content(answer: requests.Response, ends_at: float) -> bytes:
    content = bytearray()
    for chunk in answer.iter_content(16_384):
        content += chunk
        if len(content) > MOST_BYTES or monotonic() > ends_at:
            raise ValueError
    return bytes(content)


def _parsed(status: int, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content) if status == 200 else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise BadAnswer(f"status {status}, or no JSON")
    return found
