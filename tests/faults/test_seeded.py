"""Whatever befalls requests and workers: nothing is lost, doubled, stuck, closed wrongly, or told too early.

1,000 runs, each placed by its seed. More of them: FAULT_RUNS=10000; one of them again, with its history:
FAULT_SEED=… A failure prints both.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.proxy import Fault, fault_proxy
from tests.faults.seeded import Run
from tests.faults.seeded_clock import simulated_clock
from tests.faults.seeded_workers import workers
from tests.faults.seeded_world import Stage, make_stage
from tests.platform_server import running_platform

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

RUNS = int(os.environ.get("FAULT_RUNS", "1000"))
PARTS = 8
SEED = os.environ.get("FAULT_SEED")


@pytest.fixture
def stage(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with (
        running_platform(tmp_path / "accounts.jsonl") as platform,
        fault_proxy(platform.server.server_port) as proxy,
        simulated_clock(monkeypatch) as clock,
        workers(3, proxy, clock, monkeypatch) as staff,
    ):
        yield make_stage(platform, proxy, clock, staff)


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_doubled_stuck_closed_wrongly_or_told_too_early(stage: Stage, part: int) -> None:
    seeds = range(part, RUNS, PARTS) if SEED is None else [int(SEED)][part:]
    covered: Counter[str] = Counter()
    import time

    started = time.process_time()
    for seed in seeds:
        run = Run(stage, seed)
        found = run.live()
        covered += run.covered
        if found or SEED:
            print("\n".join([f"FAULT_SEED={seed}", *run.history]))
        assert found == [], f"FAULT_SEED={seed} repeats it"
    import time

    print(covered, len(seeds), "CPU", time.process_time() - started)
    if len(seeds) > 100:
        assert {fault for fault in Fault if not covered[fault]} == set()
