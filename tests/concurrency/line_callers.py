"""Callers of a provider, in processes of their own: `Callers` starts them and tells them what to do.

    python -m tests.concurrency.line_callers

reads a wish a line, and answers each with a line: for every call when it was to leave (by the database's clock).
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
THREADS = 8


class Callers:
    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes

    def call(self, **wish: Any) -> list[int]:
        """All threads of all processes at once; when the calls left, in order. See `_call_all` for the wish."""
        for process in self.processes:
            assert process.stdin
            process.stdin.write(json.dumps(wish) + "\n")
            process.stdin.flush()
        return sorted(slot for process in self.processes for slot in answer(process))


def answer(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout
    found: list[int] = json.loads(process.stdout.readline())
    return found


@contextmanager
def running(number: int, database_url: str) -> Iterator[Callers]:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings", "DATABASE_URL": database_url}
    command = [sys.executable, "-m", "tests.concurrency.line_callers"]
    processes = [
        subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(number)
    ]
    try:
        yield Callers(processes)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def main() -> None:
    import django

    django.setup()
    with ThreadPoolExecutor(THREADS) as pool:
        for wish in sys.stdin:
            print(json.dumps(_call_all(pool, **json.loads(wish))), flush=True)


def _call_all(
    pool: ThreadPoolExecutor,
    *,
    provider: int,
    port: int,
    calls: int,
    changed: Sequence[tuple[str, str]] = (),
    expires: float = 12.0,
    hold: bool = False,
) -> list[int]:
    """So many calls by each process. Pieces of the statement that takes a turn may be `changed`; whoever is to `hold`
    says that it has a turn, and keeps it until it is killed."""
    from catalog import line
    from catalog.provider.errors import Unreachable

    statement, take = line._TAKE, line._take
    slots: list[int] = []

    def noted(*asked: Any) -> Any:
        place = take(*asked)
        slots.append(place.leaves)
        return place

    def call(_number: int) -> None:
        # No turn: only where a changed statement has left places behind.
        with suppress(Unreachable), line.turn(provider, expires=expires):
            if hold:
                print(json.dumps(slots), flush=True)
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"?")
                connection.recv(1)

    for piece, other in changed:
        assert piece in statement
        statement = statement.replace(piece, other)
    with mock.patch.multiple(line, _TAKE=statement, _take=noted):
        list(pool.map(call, range(calls)))
    return slots


if __name__ == "__main__":
    main()
