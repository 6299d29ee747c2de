"""Takes each guard out in a copy of the code, and says which tests miss it: python -m tests.mutants [NAME or NUMBER …]

A line for each: promise, guard, the tests that went red. Ends with 1 when nobody missed one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS

ROOT = Path(__file__).resolve().parents[2]
LEFT_BEHIND = shutil.ignore_patterns(".git", ".venv", ".demo", "__pycache__", ".*_cache", "staticfiles", "build")
PATIENCE = 900
NOTHING_RAN = 5


def main(wanted: Sequence[str]) -> int:
    chosen = [mutant for mutant in MUTANTS if not wanted or {mutant.name, str(mutant.promise)} & set(wanted)]
    if not chosen:
        print(f"no such mutant; there are: {' '.join(mutant.name for mutant in MUTANTS)}")
        return 2
    survivors = [mutant.name for mutant in chosen if not _try(mutant)]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} guards are missed by a test")
    if survivors:
        print(f"nobody misses: {' '.join(survivors)}")
    return 1 if survivors else 0


def _try(mutant: Mutant) -> bool:
    """Says whether a test went red, in a copy of the code that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="leerkaart-mutant-") as folder:
        copy = Path(folder) / "code"
        shutil.copytree(ROOT, copy, ignore=LEFT_BEHIND)
        mutate(copy, mutant)
        red = _red(copy, mutant.tests)
    print(f"{mutant.promise:>2}  {mutant.name:<40} {', '.join(red) or 'SURVIVED'}", flush=True)
    return bool(red)


def mutate(root: Path, mutant: Mutant) -> None:
    path = root / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.guard) != 1:
        raise SystemExit(f"{mutant.name}: its guard stands {text.count(mutant.guard)} times in {mutant.file}")
    path.write_text(text.replace(mutant.guard, mutant.mutation), encoding="utf-8")


def _red(copy: Path, tests: Sequence[str]) -> list[str]:
    """The tests that fail or break there; the first is enough."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-rfE", *tests]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return ["hangs"]
    red = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.M)
    if done.returncode not in (0, 1) or bool(red) != bool(done.returncode):
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")
    return red


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
