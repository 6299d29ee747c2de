"""Workers, scheduler, broker and database are killed at once, with work owed in every state."""

import os
import subprocess
import sys

import pytest

from enrollment import letters, provisioning
from portal.celery import app
from tests.faults.stage import ROOT

pytestmark = pytest.mark.faults

OWED = {"leased", "leased-letters", "letters", "to-close", "to-erase", "to-open"}


def test_lease_and_sweep_together_last_less_than_a_minute() -> None:
    """What a worker took in the moment in which it was killed is free when the lease is over, and found by the next
    sweep; some seconds are left for starting again, and for a letter that follows."""
    every = {entry["task"].rpartition(".")[2]: entry["schedule"] for entry in app.conf.beat_schedule.values()}
    assert provisioning.LEASE.total_seconds() + every["provision_due"] <= 50
    assert letters.LEASE.total_seconds() + every["send_letters"] <= 50


@pytest.mark.slow
def test_all_owed_work_is_done_within_a_minute_of_the_restart() -> None:
    """By the clock of the real schedule, with servers of its own. It ends by itself when it is not done in time."""
    servers = {"DATABASE_URL", "REDIS_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in servers}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks", "recovery"],
        cwd=ROOT,
        env=environment | {"RECOVERY_PEOPLE": "24"},
        capture_output=True,
        text=True,
        timeout=230,
    )
    print(done.stdout)
    assert (done.returncode, done.stderr[-2000:] if done.returncode else "") == (0, "")
    figures = {line.split()[0]: line.split() for line in done.stdout.splitlines() if line.startswith("recovery_")}
    assert set(figures["recovery_owed"][-2].split(",")) == OWED
    assert 0 < float(figures["recovery_done"][1]) <= 60
