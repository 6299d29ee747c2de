"""The import of a list of 165,000 cards, beside a bare COPY of the same rows into the same kind of table."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from urllib.parse import urlsplit

LINES = 165_000
SLUG = "benchmark-of-the-roster"
_COLUMNS = "institution_id, number, valid_until, fact_hash"


def main() -> None:
    """Needs Django set up on the database that DATABASE_URL names; leaves nothing in it."""
    from libraries.models import Institution, Roster

    institution = Institution.objects.create(slug=SLUG, name=SLUG, postal_code="1000", city="Brussel")
    try:
        with tempfile.TemporaryDirectory() as folder:
            _measure(institution.pk, Path(folder))
    finally:
        Roster.objects.filter(institution=institution).delete()
        institution.delete()


def _measure(institution_id: int, folder: Path) -> None:
    cards, one_card = folder / "cards.csv", folder / "card.csv"
    write_list(cards, LINES)
    write_list(one_card, 1)
    new = _seconds(lambda: _import(institution_id, cards))
    unchanged = _seconds(lambda: _import(institution_id, cards))
    bare = _bare_copy(institution_id, folder / "rows")
    _print("roster_new", LINES / new, "rows/s", bare / new)
    _print("roster_unchanged", LINES / unchanged, "rows/s", bare / unchanged)
    _print("roster_bare_copy", LINES / bare, "rows/s", 1)
    # In processes of their own, where nothing else has filled the memory before.
    floor, peak = peak_memory(one_card), peak_memory(cards)
    _print("roster_peak_memory", peak, "MB", peak / floor)


def write_list(path: Path, lines: int) -> None:
    chance = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        file.write("nummer;geldig_tot;geboortedatum\n")
        for number in range(lines):
            born = f"{chance.randint(1, 28):02d}/{chance.randint(1, 12):02d}/{chance.randint(1930, 2018)}"
            file.write(f"{2_100_000_000_000 + number * 37};{chance.randint(2027, 2029)}-06-30;{born}\n")


def _import(institution_id: int, path: Path) -> None:
    from django.utils import timezone

    from libraries import rosters
    from libraries.models import Institution

    institution = Institution.objects.get(pk=institution_id)
    with path.open("rb") as source:
        report = rosters.import_roster(institution=institution, source=source, by=None, now=timezone.now())
    assert report.accepted == LINES


def _bare_copy(institution_id: int, path: Path) -> float:
    """Seconds for the same rows into an empty table with the same checks and indexes."""
    from django.db import connection

    with connection.cursor() as cursor, path.open("w+b") as rows:
        entries = f"SELECT {_COLUMNS} FROM libraries_rosterentry WHERE institution_id = {institution_id}"
        cursor.copy_expert(f"COPY ({entries}) TO STDOUT", rows)
        rows.seek(0)
        cursor.execute("CREATE TABLE roster_benchmark (LIKE libraries_rosterentry INCLUDING ALL)")
        try:
            return _seconds(lambda: cursor.copy_expert(f"COPY roster_benchmark ({_COLUMNS}) FROM STDIN", rows))
        finally:
            cursor.execute("DROP TABLE roster_benchmark")


def peak_memory(path: Path) -> float:
    """Megabytes a whole process of the command takes at its highest, with the institution called SLUG."""
    from django.db import connection

    database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    command = [sys.executable, "-m", "benchmarks.roster", str(path)]
    environment = os.environ | {"DATABASE_URL": database.geturl()}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    return float(done.stdout.split()[-1])


def _command(path: str) -> None:
    from django.core.management import call_command

    call_command("import_roster", SLUG, path, stderr=StringIO())
    print(peak_of_this_process())


def peak_of_this_process() -> float:
    """Linux counts the parent's memory into ru_maxrss; its own high water mark begins anew with the program."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _print(name: str, value: float, unit: str, ratio: float) -> None:
    print(f"{name} {value:.0f} {unit} {ratio:.2f}", flush=True)


if __name__ == "__main__":
    import django

    django.setup()
    _command(sys.argv[1])
