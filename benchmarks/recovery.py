"""Everything is killed at once with work owed in every state: workers, scheduler, broker and database. They are started
again, and by the clock of the real schedule all of it is done. From the start until then: as long as a member's account
may be held up by a crash.

Where something was claimed in the very moment, its whole lease has to pass: that is what the time is made of.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks.stage import ROOT, WORKER, report, settings_for
from portal.sandbox import servers
from portal.sandbox.programs import Program, stop_all
from portal.sandbox.servers import Server

if TYPE_CHECKING:
    from enrollment.models import Enrollment, SeatPool

PROMISED = 60.0
PEOPLE = int(os.environ.get("RECOVERY_PEOPLE", "200"))
PATIENCE = 120.0
BEAT = ("-m", "celery", "-A", "portal.celery", "beat", "--pidfile", "")


@dataclass
class World:
    folder: Path
    database: Server
    broker: Server
    outside: list[Program] = field(default_factory=list)
    product: list[Program] = field(default_factory=list)

    def start_outside(self) -> None:
        platform, mail = os.environ["SANDBOX_PLATFORM_URL"], os.environ["EMAIL_URL"]
        state = ("--state", str(self.folder / "platform.jsonl"))
        box = ("--maildir", str(self.folder / "mail"))
        self.outside = [
            self._program("platform", "-m", "portal.sandbox.platform", "--port", platform.rpartition(":")[2], *state),
            self._program("mail-server", "-m", "portal.sandbox.mail", "--port", mail.rpartition(":")[2], *box),
        ]

    def start_product(self) -> None:
        """As in production, with the queues shared out among two processes."""
        schedule = str(self.folder / "beat-schedule")
        self.product = [
            self._program("provider", *WORKER, "-Q", "provider", "-c", "8", "-n", "provider@%h"),
            self._program("others", *WORKER, "-Q", "mail,sweeps,libraries", "-c", "4", "-n", "others@%h"),
            self._program("beat", *BEAT, "--schedule", schedule),
        ]

    def stall_others(self) -> None:
        """Letters have to wait."""
        os.kill(self.product[1].pid, signal.SIGSTOP)

    def kill(self) -> None:
        for program in [*self.product, self.broker, self.database]:
            program.kill()

    def start_again(self) -> None:
        self.database.start()
        self.broker.start()
        self.start_product()

    def _program(self, name: str, *arguments: str) -> Program:
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        program = Program(
            name, [sys.executable, *arguments], self.folder / f"{name}.log", environment=environment, folder=ROOT
        )
        program.start()
        return program


def main() -> None:
    with _world() as world:
        owed = _prepare(world)
        world.kill()
        started = time.perf_counter()
        world.start_again()
        again = time.perf_counter() - started
        done = _until_done(world, started)
        _check()
        report("recovery_owed", sum(owed.values()), "pieces of work in " + ",".join(sorted(owed)), 1)
        report("recovery_start", again, "s", again / PROMISED)
        report("recovery_done", done, "s", done / PROMISED)
        if done > PROMISED:
            sys.exit(f"owed work was done only after {done:.1f} s")


@contextlib.contextmanager
def _world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="leerkaart-recovery-"))
    folder.chmod(0o711)  # the database's user passes through
    try:
        with (
            servers.postgres(folder / "postgres", durable=True) as database,
            servers.valkey(folder / "valkey", durable=True) as broker,
        ):
            os.environ.update(settings_for({"DATABASE_URL": database.url, "REDIS_URL": broker.url}, folder))
            for command in (["migrate", "-v0"], ["createcachetable"]):
                subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True, stdout=sys.stderr)
            import django

            django.setup()
            world = World(folder, database, broker)
            try:
                yield world
            finally:
                stop_all([*world.product, *world.outside], within=4.0)
    finally:
        for name in ("postgres", "valkey"):
            servers.remove(folder / name)
        shutil.rmtree(folder, ignore_errors=True)


# --- Work in every state ---


def _prepare(world: World) -> dict[str, int]:
    """Half of the people have an account from before; then everything happens to everybody at once, and the workers are
    killed in the midst of it. Says how many pieces of work were owed in which state."""
    from django.utils import timezone

    from benchmarks import rows
    from catalog.models import Provider

    world.start_outside()
    rows.make_libraries()
    pool = rows.make_pool("recovery", cap=1_000_000)
    Provider.objects.update(calls_per_second=100, calls_at_once=16)
    before = _seat(pool, range(PEOPLE // 2))
    world.start_product()
    _until_done(world, time.perf_counter())
    _fault("slow", seconds=0.4)
    world.stall_others()
    _change(before)
    _seat(pool, range(PEOPLE // 2, PEOPLE))
    _until(lambda: _leased() >= 4)
    _fault("dropped_reply", times=4)
    _claim_in_this_moment(timezone.now())
    return _owed()


def _seat(pool: SeatPool, numbers: range) -> list[Enrollment]:
    """By the operation, as their applications do."""
    from django.utils import timezone

    from benchmarks import rows
    from enrollment import applying
    from enrollment.privacy import PRIVACY_TEXT_VERSION
    from libraries.models import Library, User

    seated = []
    for member in rows.make_visitors(len(numbers), start=numbers.start):
        told = applying.Application(
            library=Library.objects.get(pk=member.library_id),
            number=member.card,
            first_name="Ada",
            last_name="Peeters",
            second_fact=rows.FACT,
            language="nl",
            privacy_version=PRIVACY_TEXT_VERSION,
            age_confirmed=None,
        )
        user = User.objects.create_user(member.email)
        seated.append(
            applying.apply(user=user, pool=pool, application=told, address=member.address, now=timezone.now())
        )
    if any(enrollment.state != enrollment.State.SEATED for enrollment in seated):
        sys.exit("not everybody has a seat")
    return seated


def _change(before: list[Enrollment]) -> None:
    """Of the open accounts some must be closed, some erased, and some renamed; the rest is looked at again."""
    from django.utils import timezone

    from enrollment import ending
    from enrollment.models import ProviderAccount
    from libraries.models import User

    now = timezone.now()
    for number, enrollment in enumerate(before):
        account = ProviderAccount.objects.filter(user_id=enrollment.user_id)
        match number % 4:
            case 0:
                ending.give_back(enrollment_id=enrollment.pk, by=enrollment.user, now=now)
            case 1:
                ending.give_back(enrollment_id=enrollment.pk, by=enrollment.user, now=now)
                account.update(must_be_erased=True, **ProviderAccount.debt(now))
            case 2:
                User.objects.filter(pk=enrollment.user_id).update(last_name="Renamed")
                account.update(**ProviderAccount.debt(now))
            case 3:
                account.update(**ProviderAccount.debt(now))


def _claim_in_this_moment(now: Any) -> None:
    """What a worker has just taken when it is killed: the whole lease is still to pass."""
    from enrollment import letters, provisioning
    from enrollment.models import Letter, ProviderAccount

    for model, lease in ((ProviderAccount, provisioning.LEASE), (Letter, letters.LEASE)):
        due = model.objects.due(now).order_by("-pk").values_list("pk", flat=True)[:5]
        for pk in list(due):
            model.objects.filter(pk=pk).update(lease_token=uuid4(), lease_until=now + lease, attempts=1)


def _owed() -> dict[str, int]:
    from django.db.models import Q
    from django.utils import timezone

    from enrollment.models import Letter, ProviderAccount

    now, accounts = timezone.now(), ProviderAccount.objects.owed()
    leased = Q(lease_until__gt=now)
    counts = {
        "leased": accounts.filter(leased).count(),
        "to-open": accounts.filter(~leased, must_be_active=True).count(),
        "to-close": accounts.filter(~leased, must_be_active=False, must_be_erased=False).count(),
        "to-erase": accounts.filter(~leased, must_be_erased=True).count(),
        "letters": Letter.objects.owed().filter(Q(lease_until=None) | Q(lease_until__lte=now)).count(),
        "leased-letters": Letter.objects.owed().filter(leased).count(),
    }
    return {state: count for state, count in counts.items() if count}


def _leased() -> int:
    from django.utils import timezone

    from enrollment.models import ProviderAccount

    return ProviderAccount.objects.filter(lease_until__gt=timezone.now()).count()


def _fault(kind: str, **more: object) -> None:
    import requests

    address = os.environ["SANDBOX_PLATFORM_URL"]
    requests.post(f"{address}/faults", json={"kind": kind, **more}, timeout=5).raise_for_status()


# --- Done ---


def _until_done(world: World, started: float) -> float:
    """Seconds since then until nothing is owed any more."""
    _until(lambda: not _anything_owed(), world)
    return time.perf_counter() - started


def _anything_owed() -> bool:
    from enrollment.models import Letter, ProviderAccount

    return ProviderAccount.objects.owed().exists() or Letter.objects.owed().exists()


def _until(condition: Any, world: World | None = None) -> None:
    from django.db import connection
    from django.db.utils import OperationalError

    end = time.monotonic() + PATIENCE
    while True:
        try:
            if condition():
                return
        except OperationalError:  # it was killed under us, or is not up yet
            connection.close()
        for program in world.product if world else []:
            if not program.running:
                raise program.failure()
        if time.monotonic() > end:
            sys.exit(f"not done within {PATIENCE:.0f} s: {_owed()}")
        time.sleep(0.05)


def _check() -> None:
    """Everybody has what they must have, once."""
    import requests

    from enrollment.models import ProviderAccount

    accounts = requests.get(f"{os.environ['SANDBOX_PLATFORM_URL']}/state.json", timeout=30).json()["accounts"]
    theirs = sorted((each["external_id"], each["active"]) for each in accounts)
    ours = sorted(
        (str(external_id), must_be_active)
        for external_id, must_be_active in ProviderAccount.objects.filter(must_be_erased=False).values_list(
            "external_id", "must_be_active"
        )
    )
    if theirs != ours:
        sys.exit("the platform does not hold what it must")
