"""Which client speaks which provider's protocol."""

import os
import threading
from collections.abc import Callable, Sequence

import requests

from catalog.provider.client import Connection, ProviderClient
from catalog.provider.errors import ProviderError, Refused
from catalog.provider.exchange import new_session, require_usable
from catalog.provider.moodle import MoodleClient
from catalog.provider.scim import ScimClient
from catalog.provider.trial import Step, StepName, failed

CLIENTS: dict[str, Callable[[Connection, requests.Session], ProviderClient]] = {
    "moodle": MoodleClient,
    "scim": ScimClient,
}


def calls_to_open(kind: str) -> int:
    return int(getattr(CLIENTS.get(kind), "calls_to_open", 1))


def has_courses(kind: str) -> bool:
    return bool(getattr(CLIENTS.get(kind), "has_courses", False))


class _Sessions(threading.local):
    """A thread's own connections, kept alive per provider; a forked worker never uses its parent's."""

    def __init__(self) -> None:
        self.kept: dict[tuple[int, str], requests.Session] = {}

    def to(self, base_url: str) -> requests.Session:
        key = (os.getpid(), base_url)
        if key not in self.kept:
            self.kept[key] = new_session()
        return self.kept[key]


_sessions = _Sessions()


def client_for(kind: str, connection: Connection) -> ProviderClient:
    """For use in the calling thread only: its connections are that thread's own. Refused where no request could be
    made at all: "unknown_kind", "bad_token", "bad_address"."""
    if kind not in CLIENTS:
        known = ", ".join(sorted(CLIENTS))
        raise Refused("unknown_kind", f"no client for providers of kind {kind!r}; known: {known}")
    session = _sessions.to(connection.base_url)
    require_usable(connection, session)
    return CLIENTS[kind](connection, session)


def try_out(kind: str, connection: Callable[[], Connection]) -> Sequence[Step]:
    """Step by step, and for any kind. `connection` may raise a ProviderError of its own, such as "no_secret"."""
    try:
        client = client_for(kind, connection())
    except ProviderError as error:
        return [failed(StepName.SETTINGS, error)]
    return client.try_out()
