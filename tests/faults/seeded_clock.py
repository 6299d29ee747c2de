"""The time of a seeded run: for the portal, for its database and for the proxy, it passes only when the run says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg2
import pytest
from django.db import connection

from catalog import line
from tests.factories import NOW

# Found before the functions of the same names in pg_catalog by every connection whose path begins here.
_MAKE = """
DROP SCHEMA IF EXISTS simulated CASCADE;
CREATE SCHEMA simulated;
CREATE TABLE simulated.clock (at timestamptz NOT NULL);
INSERT INTO simulated.clock VALUES (now());
CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM simulated.clock';
CREATE FUNCTION simulated.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT at FROM simulated.clock';
"""
PATH = "SET search_path TO simulated, public, pg_catalog"


class Clock:
    """Read and moved by whoever's turn it is: nobody runs beside them."""

    def __init__(self) -> None:
        self.now = NOW
        self._own = psycopg2.connect(**connection.get_connection_params())
        self._own.autocommit = True
        self._write(_MAKE)

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return (self.now - NOW).total_seconds()

    def set(self, now: datetime) -> None:
        self.now = now
        self._write("UPDATE simulated.clock SET at = %s", now)

    def move(self, seconds: float) -> None:
        if seconds > 0:
            self.set(self.now + timedelta(seconds=seconds))

    def close(self) -> None:
        self._write("DROP SCHEMA simulated CASCADE")
        self._own.close()

    def _write(self, sql: str, *values: object) -> None:
        with self._own.cursor() as cursor:
            cursor.execute(sql, values)


@contextmanager
def simulated_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """The turns at the provider's line are waited for in this time too."""
    clock = Clock()
    turn = line.turn.__wrapped__  # type: ignore[attr-defined]
    monkeypatch.setattr(turn, "__kwdefaults__", turn.__kwdefaults__ | {"clock": clock.seconds, "sleep": clock.move})
    try:
        yield clock
    finally:
        clock.close()
