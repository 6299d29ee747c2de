"""The sandbox's training platform, running on a free loopback port for a test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from portal.sandbox.platform import Platform, PlatformServer
from portal.sandbox.platform_faults import Kind

TOKEN = "platform-token"

__all__ = ["Kind", "RunningPlatform", "platform", "running_platform"]


@dataclass(frozen=True)
class RunningPlatform:
    server: PlatformServer
    token: str

    @property
    def base_url(self) -> str:
        return f"{self.server.address}/v2"

    def accounts(self) -> list[dict[str, Any]]:
        """Newest first: id, external_id, user_name, name, email, language, active, created, version."""
        return self.server.platform.accounts()

    def calls(self) -> dict[str, dict[str, int]]:
        """Requests to the API: {"by_method": {"GET": 3}, "per_second": {"1790000000": 3}}."""
        return self.server.platform.calls.listing()

    def fault(self, kind: Kind, *, times: int | None = None, seconds: float = 2.0) -> None:
        self.server.platform.faults.change({"kind": kind, "times": times, "seconds": seconds})

    def forget_all(self) -> None:
        """As if it had just been made, but for the versions that were given."""
        with self.server.platform.storage.lock:
            self.server.platform.storage.resources = []

    def clear_faults(self) -> None:
        self.server.platform.faults.change({"clear": True})


@contextmanager
def running_platform(state: Path, *, token: str = TOKEN, port: int = 0) -> Iterator[RunningPlatform]:
    """Started again with the same file it has the same accounts."""
    server = PlatformServer(port, Platform(state, token))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield RunningPlatform(server, token)
    finally:
        server.shutdown()
        server.stop()
        thread.join()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[RunningPlatform]:
    with running_platform(tmp_path / "accounts.jsonl") as running:
        yield running
