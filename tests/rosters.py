"""An institution's list of valid cards: through the import as a librarian's file would come, or fetched at night."""

import os
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path

from enrollment import roster_fetching
from libraries import rosters
from libraries.models import Institution
from tests.factories import NOW
from tests.rechecks import Clock


def put_on_roster(institution: Institution, number: str, born: str, *, valid_until: date) -> None:
    """The list has this one card from now on."""
    lines = f"number;birth_date;valid_until\n{number};{born};{valid_until}\n"
    rosters.import_roster(institution=institution, source=BytesIO(lines.encode()), by=None, now=NOW)


def lay_list(folder: Path, lines: list[str] | bytes, clock: Clock) -> None:
    path = folder / "antwerpen.csv"
    path.write_bytes(lines if isinstance(lines, bytes) else "\n".join(["number;last_name", *lines, ""]).encode())
    written = (clock() - timedelta(minutes=2)).timestamp()
    os.utime(path, (written, written))


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"2300{number:05};Peeters" for number in range(start, start + count)]


def fetch_tonight(clock: Clock) -> int:
    """How many lists were taken; then it is the next night."""
    taken = roster_fetching.fetch_due(now=clock)
    clock.now += timedelta(days=1)
    return taken
