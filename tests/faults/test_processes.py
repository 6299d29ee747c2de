"""Processes that run out of memory, sleep while everything changes, or are there twice do no harm."""

import subprocess
import sys

import pytest
from django.utils import timezone

from enrollment import ending
from enrollment.models import Letter, ProviderAccount
from libraries.models import User
from portal.celery import app
from tests.faults.conftest import Apply
from tests.faults.stage import CELERY, LETTERS, PROVISION, ROOT, Stage, go_on, stall, until

pytestmark = pytest.mark.faults

# A worker's one attempt, in a process that may have 200 MB more than it has. By the time it is to say the secret, it
# has claimed an account. Then it takes more; or the kernel ends it, because the machine has no more to give.
GREEDY = """
import os, resource, signal, sys, django
django.setup()
from pathlib import Path
from django.utils import timezone
from enrollment import provisioning

def needs_memory(name):
    if sys.argv[1] == "limit":
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + 200_000_000,) * 2)
        hoard = [bytearray(10_000_000) for _ in range(1000)]
    os.kill(os.getpid(), signal.SIGKILL)

provisioning.settle_next(secret_of=needs_memory, now=timezone.now)
"""


@pytest.mark.parametrize(("end", "code", "said"), [("limit", 1, "MemoryError"), ("kernel", -9, "")])
def test_worker_out_of_memory_is_followed_by_another(
    stage: Stage, apply: Apply, end: str, code: int, said: str
) -> None:
    apply(2)
    command = [sys.executable, "-c", GREEDY, end]
    done = subprocess.run(command, cwd=ROOT, env=stage.environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip().splitlines()[-1:]) == (code, [said] if said else [])
    [claimed] = ProviderAccount.objects.filter(lease_token__isnull=False)
    assert (claimed.attempts, claimed.due_at is None, stage.platform.calls()) == (1, False, 0)
    stage.expire_leases()
    stage.worker()
    stage.settle()
    stage.check_all_done(accepted=2)


def test_worker_that_slept_while_the_person_changed_leaves_what_others_did(stage: Stage, apply: Apply) -> None:
    """Its call makes the account with the old address; the other one finds it, and brings it to what is so now."""
    [ada] = apply(1)
    stage.platform.fault("slow", times=1, seconds=0.5)
    stalled = stage.worker(queues="provider")
    stage.sweep(PROVISION)
    until(lambda: len(stage.platform.accounts()) == 1)
    stall(stalled)
    User.objects.filter(pk=ada.user_id).update(email="ada@new.example.test", last_name="Janssens")
    stage.expire_leases()
    stage.worker()
    stage.settle()
    stage.check_all_done(accepted=1)
    version = ProviderAccount.objects.get().version
    go_on(stalled)
    until(lambda: "somebody else has taken over" in stalled.tail())
    until(lambda: ProviderAccount.objects.filter(version__gt=version, due_at=None).exists())
    stage.check_all_done(accepted=1)
    assert [each["name"] for each in stage.platform.accounts()] == ["Ada Janssens"]


def test_messages_of_the_provider_seven_times_each_while_everything_changes(stage: Stage, apply: Apply) -> None:
    seats = apply(9)
    stage.worker()
    stage.worker()
    stage.settle()
    now = timezone.now()
    for enrollment in seats[:4]:
        ending.give_back(enrollment_id=enrollment.pk, by=enrollment.user, now=now)
    erased = ProviderAccount.objects.filter(user_id=seats[0].user_id)
    erased.update(must_be_erased=True, **ProviderAccount.debt(now))
    User.objects.filter(pk__in=[enrollment.user_id for enrollment in seats[4:7]]).update(last_name="Janssens")
    routes = app.conf.task_routes.items()
    tasks = [task for task, route in routes if route["queue"] == "provider"]
    stage.sweep("enrollment.tasks.sweep_seats", *tasks, LETTERS, times=7)
    until(lambda: len([each for each in stage.platform.accounts() if each["name"] == "Ada Janssens"]) == 3)
    stage.sweep(*tasks, times=7)
    stage.settle()
    accounts = stage.platform.accounts()
    assert sorted(each["active"] for each in accounts) == [False] * 3 + [True] * 5
    assert len({each["external_id"] for each in accounts}) == 8
    assert len(stage.mails()) == Letter.objects.filter(sent_at__isnull=False).count() == Letter.objects.count()


@pytest.mark.slow
def test_two_schedulers_at_once_do_no_harm(stage: Stage, apply: Apply) -> None:
    """As where one was started and the other never stopped; by the clock of the real schedule."""
    apply(10)
    beats = [
        stage.start(name, *CELERY, "beat", "-l", "INFO", "--schedule", str(stage.folder / name), "--pidfile", "")
        for name in ("beat-1", "beat-2")
    ]
    for _ in range(2):
        stage.worker(wait=False)
    until(lambda: stage.owed() == {}, within=60)
    for beat in beats:
        until(lambda beat=beat: "Sending due task provision-due" in beat.tail(500), within=60)  # type: ignore[misc]
    stage.settle()
    stage.check_all_done(accepted=10)
    assert len(stage.mails()) == Letter.objects.count() == 20
