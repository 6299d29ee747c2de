"""Whatever befalls requests and workers: nothing is lost, doubled, stuck, closed wrongly, or told too early.

1,000 runs, each placed by its seed. More of them: FAULT_RUNS=10000; one of them again, with its history:
FAULT_SEED=… A failure prints both.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.faults.proxy import Fault
from tests.faults.seeded import Run
from tests.faults.seeded_world import Stage

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

RUNS = int(os.environ.get("FAULT_RUNS", "1000"))
SEED = os.environ.get("FAULT_SEED")
PARTS = 16 if SEED is None else 1
# So many runs in a part meet every fault, and workers die and stall at every kind of step.
ENOUGH = 500
STEPS = [f"{before} {method}" for before in ("before", "after") for method in ("GET", "POST", "PATCH")]


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_doubled_stuck_closed_wrongly_or_told_too_early(seeded_stage: Stage, part: int) -> None:
    seeds = range(part, RUNS, PARTS) if SEED is None else [int(SEED)]
    covered: Counter[str] = Counter()
    for seed in seeds:
        run = Run(seeded_stage, seed)
        found = run.live()
        covered += run.covered
        if found or SEED:
            print("\n".join([f"FAULT_SEED={seed}", *run.history]))
        assert found == [], f"FAULT_SEED={seed} repeats it"
    print(f"{len(seeds)} runs:", dict(covered.most_common()))
    if len(seeds) >= ENOUGH:
        assert [fault for fault in Fault if not covered[fault]] == []
        assert [step for step in STEPS if not covered[f"dies {step}"] + covered[f"stalls {step}"]] == []
