"""`make bench`: all of them, or those that are named; a line a figure: name, value, unit, ratio to the ceiling."""

import sys
from collections.abc import Callable

from benchmarks import allocate, claim, roster, signup
from benchmarks.stage import Stage, set_up

BENCHMARKS: dict[str, Callable[[Stage], None]] = {
    "claim": claim.main,
    "signup": signup.main,
    "allocate": allocate.main,
    "roster": lambda stage: roster.main(),
}


def main(names: list[str]) -> None:
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        sys.exit(f"no such benchmark: {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        with set_up() as stage:  # a database of its own, so that none stands on another's rows
            BENCHMARKS[name](stage)


if __name__ == "__main__":
    main(sys.argv[1:])
