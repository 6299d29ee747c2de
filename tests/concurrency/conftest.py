from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

import pytest
from django.db import connection

R = TypeVar("R")
Together = Callable[[Sequence[Callable[[], Any]]], list[Any]]


@pytest.fixture
def together() -> Together:
    """Runs calls at once, each in a thread with a database connection of its own; gives back what each returned or
    raised, in order."""

    def run(calls: Sequence[Callable[[], Any]]) -> list[Any]:
        barrier = Barrier(len(calls))

        def one(call: Callable[[], Any]) -> Any:
            connection.ensure_connection()
            barrier.wait(timeout=60)
            try:
                return call()
            except Exception as error:
                return error
            finally:
                connection.close()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(one, calls))

    return run
