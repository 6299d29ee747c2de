"""The sandbox's Moodle, running on a free loopback port for a test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from portal.sandbox.moodle import MoodlePlatform, MoodleServer
from portal.sandbox.moodle_site import Enrolment, Site
from portal.sandbox.platform_faults import Kind

TOKEN = "moodle-token-0123456789abcdef"
COURSES = ("excel", "python", "welding")

__all__ = ["COURSES", "Kind", "RunningMoodle", "moodle", "running_moodle"]


@dataclass(frozen=True)
class RunningMoodle:
    server: MoodleServer
    token: str

    @property
    def base_url(self) -> str:
        return self.server.address

    @property
    def site(self) -> Site:
        return self.server.platform.storage

    def accounts(self) -> list[dict[str, Any]]:
        """Newest first: id, external_id, user_name, name, email, language, active, created, version."""
        return self.server.platform.accounts()

    def calls(self) -> dict[str, int]:
        """By function."""
        return self.server.platform.calls.listing()["by_method"]

    def enrolments(self) -> list[Enrolment]:
        return list(self.site.enrolments.values())

    def fault(self, kind: Kind, *, times: int | None = None, seconds: float = 2.0) -> None:
        self.server.platform.faults.change({"kind": kind, "times": times, "seconds": seconds})

    def forget_all(self) -> None:
        """As if it had just been made, but for the ids that were given."""
        with self.site.lock:
            self.site.users.clear()
            self.site.enrolments.clear()

    def clear_faults(self) -> None:
        self.server.platform.faults.change({"clear": True})


@contextmanager
def running_moodle(state: Path, *, token: str = TOKEN, port: int = 0) -> Iterator[RunningMoodle]:
    """Started again with the same file it has the same accounts."""
    server = MoodleServer(port, MoodlePlatform(state, token, COURSES))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield RunningMoodle(server, token)
    finally:
        server.shutdown()
        server.stop()
        thread.join()


@pytest.fixture
def moodle(tmp_path: Path) -> Iterator[RunningMoodle]:
    with running_moodle(tmp_path / "moodle.jsonl") as running:
        yield running
