"""Workers are killed, stalled and flooded: nothing is lost, nothing is done twice, nothing loops."""

import random
import subprocess
import sys
import time

import pytest
from django.utils import timezone

from enrollment import ending, provisioning
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from tests.faults.conftest import Apply
from tests.faults.stage import PROVISION, ROOT, ROUNDS, Stage, go_on, stall, until

pytestmark = pytest.mark.faults


def account() -> ProviderAccount:
    return ProviderAccount.objects.get()


def test_worker_killed_before_the_account_is_posted(stage: Stage, apply: Apply) -> None:
    """It was claimed before, so that it is looked at first."""
    apply(1)
    ProviderAccount.objects.update(first_claimed_at=timezone.now())
    stage.platform.fault("slow", times=1, seconds=5)
    worker = stage.worker()
    stage.sweep(PROVISION)
    until(lambda: stage.platform.calls() == 1)
    worker.kill()
    assert stage.platform.accounts() == []
    stage.expire_leases()
    stage.worker()
    stage.settle()
    stage.check_all_done(accepted=1)
    assert account().attempts == 2


def test_worker_killed_after_the_account_was_posted(stage: Stage, apply: Apply) -> None:
    apply(1)
    stage.platform.fault("slow", times=2, seconds=1.5)
    worker = stage.worker()
    stage.sweep(PROVISION)
    until(lambda: len(stage.platform.accounts()) == 1)
    worker.kill()
    assert account().seen == ProviderAccount.Seen.UNKNOWN
    stage.expire_leases()
    stage.worker()
    stage.settle()
    stage.check_all_done(accepted=1)
    assert account().attempts == 2


def test_workers_killed_at_any_moment(stage: Stage, apply: Apply) -> None:
    apply(20)
    stage.platform.fault("slow", seconds=0.05)
    for _ in range(2 * ROUNDS):
        worker = stage.worker()
        stage.sweep()
        time.sleep(random.uniform(0.05, 0.6))
        worker.kill()
        stage.expire_leases()
        apply(5)
    stage.platform.clear_faults()
    stage.worker()
    stage.settle()
    stage.check_all_done(accepted=20 + 10 * ROUNDS)


def test_every_message_delivered_seven_times(stage: Stage, apply: Apply) -> None:
    apply(10)
    stage.sweep(times=7)
    for _ in range(2):
        stage.worker(wait=False)
    until(lambda: stage.owed() == {})
    stage.sweep(times=7)
    stage.settle()
    stage.check_all_done(accepted=10)
    assert len(stage.mails()) == Letter.objects.count() == 20


def test_worker_stalled_past_its_lease_publishes_nothing(stage: Stage, apply: Apply) -> None:
    """Its call makes the account while it sleeps; somebody else sees to it that it is closed. What the sleeper saw is
    not written, but somebody looks again."""
    [ada] = apply(1)
    stage.platform.fault("slow", times=1, seconds=0.5)
    stalled = stage.worker(queues="provider")
    stage.sweep(PROVISION)
    until(lambda: stage.platform.calls() == 1)
    stall(stalled)
    until(lambda: len(stage.platform.accounts()) == 1)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=ada.applied_at)
    stage.expire_leases()
    stage.worker()
    stage.settle()
    assert account().seen == ProviderAccount.Seen.INACTIVE
    version = account().version
    go_on(stalled)
    until(lambda: account().version > version and account().due_at is None)
    assert "somebody else has taken over" in stalled.tail()
    assert [each["active"] for each in stage.platform.accounts()] == [False]
    assert not Letter.objects.filter(kind=Letter.Kind.ACCOUNT_READY).exists()


def test_worker_stalled_between_its_look_and_its_act_sends_nothing(stage: Stage, apply: Apply) -> None:
    """By the time it goes on, nothing need be there any more, and somebody else has seen to that: an account made now
    would be one that nobody wants."""
    [ada] = apply(1)
    ProviderAccount.objects.update(first_claimed_at=timezone.now())
    stage.platform.fault("slow", times=1, seconds=0.5)
    stalled = stage.worker(queues="provider")
    stage.sweep(PROVISION)
    until(lambda: stage.platform.calls() == 1)
    stall(stalled)
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=ada.applied_at)
    stage.expire_leases()
    stage.worker()
    stage.settle()
    assert (account().seen, stage.platform.accounts()) == (ProviderAccount.Seen.ABSENT, [])
    version = account().version
    go_on(stalled)
    until(lambda: account().version > version and account().due_at is None)
    assert "somebody else has taken over" in stalled.tail()
    assert (account().seen, stage.platform.accounts()) == (ProviderAccount.Seen.ABSENT, [])
    assert stage.platform.calls_by_method() == {"GET": 3}


POISONED = """
import os, sys, django
django.setup()
from datetime import UTC, datetime, timedelta
from enrollment import provisioning
now = datetime.now(UTC)
for turn in range(int(sys.argv[1])):
    if os.fork() == 0:
        provisioning.settle_next(secret_of=lambda name: os._exit(9), now=lambda: now + turn * provisioning.LEASE)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_work_that_kills_its_worker_ends_as_stuck(stage: Stage, apply: Apply) -> None:
    """Each process dies in the middle of it; the attempts are counted all the same, and the last ones touch nothing."""
    [ada] = apply(1)
    turns = provisioning.MOST_ATTEMPTS + 3
    command = [sys.executable, "-c", POISONED, str(turns)]
    done = subprocess.run(command, cwd=ROOT, env=stage.environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["9"] * provisioning.MOST_ATTEMPTS + ["0"] * 3
    assert (account().trouble, account().lease_token) == ("crashed", None)
    assert account().stuck_at is not None
    assert Event.objects.filter(enrollment_id=ada.pk, kind=Event.Kind.ACCOUNT_STUCK).count() == 1
    assert (stage.platform.calls(), Enrollment.objects.get().state) == (0, Enrollment.State.SEATED)
