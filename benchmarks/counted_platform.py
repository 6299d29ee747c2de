"""The sandbox's training platform, which writes down when it was asked, and how many times at once.

python -m benchmarks.counted_platform PORT FILE SECONDS
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse

from portal.sandbox.platform import Platform, PlatformServer


class CountedPlatform(Platform):
    def __init__(self, state: Path, token: str, notes: Path, seconds: float) -> None:
        super().__init__(state, token)
        self._notes, self._seconds = notes.open("a", buffering=1), seconds
        self._at_once, self._lock = 0, threading.Lock()

    def answer(self, request: ScimRequest) -> ScimResponse | None:
        """Takes at least so many seconds."""
        began = time.monotonic()
        with self._lock:
            self._at_once += 1
            self._notes.write(f"{began} {self._at_once}\n")
        try:
            response = super().answer(request)
            time.sleep(max(began + self._seconds - time.monotonic(), 0.0))
            return response
        finally:
            with self._lock:
                self._at_once -= 1


def main(port: str, notes: str, seconds: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        token = os.environ["SANDBOX_PLATFORM_TOKEN"]
        platform = CountedPlatform(Path(folder) / "accounts.jsonl", token, Path(notes), float(seconds))
        server = PlatformServer(int(port), platform)
        print(f"Training platform on {server.address}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
