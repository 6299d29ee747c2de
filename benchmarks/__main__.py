"""`make bench`: all of them, or those that are named; a line a figure: name, value, unit, ratio to the ceiling."""

import subprocess
import sys
from collections.abc import Callable

from benchmarks import allocate, cards, catalog, claim, launch, provision, reconcile, recovery, roster, search, signup
from benchmarks.stage import Stage, set_up

BENCHMARKS: dict[str, Callable[[Stage], None]] = {
    "claim": claim.main,
    "signup": signup.main,
    "allocate": allocate.main,
    "cards": cards.main,
    "catalog": catalog.main,
    "provision": provision.main,
    "reconcile": reconcile.main,
    "launch": launch.main,
    "roster": lambda stage: roster.main(),
    "search": search.main,
}


# They kill their servers, and so have some of their own.
ALONE: dict[str, Callable[[], None]] = {"recovery": recovery.main}


def main(names: list[str]) -> None:
    unknown = set(names) - BENCHMARKS.keys() - ALONE.keys()
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join([*BENCHMARKS, *ALONE])}")
    if len(names) == 1 and names[0] in ALONE:
        ALONE[names[0]]()
        return
    if len(names) == 1:
        with set_up() as stage:
            BENCHMARKS[names[0]](stage)
        return
    for name in names or [
        *BENCHMARKS,
        *ALONE,
    ]:  # each in a process of its own, on a database where no other's rows stand
        done = subprocess.run([sys.executable, "-m", "benchmarks", name])
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    main(sys.argv[1:])
