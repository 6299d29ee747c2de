"""The real parts, each a process of its own that may be killed: workers, broker, training platform, mail server."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from django.db import connection
from django.utils import timezone
from kombu import Connection

from catalog.models import ProviderLine
from enrollment.models import Enrollment, Letter, ProviderAccount
from portal.celery import app
from portal.sandbox import servers
from portal.sandbox.mail import Mail, read_mail
from portal.sandbox.programs import Program, stop_all
from portal.sandbox.servers import Server

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
CELERY = ("-m", "celery", "-A", "portal.celery")
PROVISION, LETTERS = "enrollment.tasks.provision_due", "enrollment.tasks.send_letters"


def until(condition: Callable[[], bool], *, within: float = PATIENCE) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, f"not so within {within:.0f} s: {condition.__qualname__}"
        time.sleep(0.02)


@dataclass
class Outside:
    """The training platform as its page shows it."""

    program: Program
    address: str

    @property
    def base_url(self) -> str:
        return f"{self.address}/v2"

    def accounts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._state()["accounts"]
        return found

    def calls(self) -> int:
        return sum(self.calls_by_method().values())

    def calls_by_method(self) -> dict[str, int]:
        by_method: dict[str, int] = self._state()["calls"]["by_method"]
        return by_method

    def fault(self, kind: str, *, times: int | None = None, seconds: float = 2.0) -> None:
        self._switch({"kind": kind, "times": times, "seconds": seconds})

    def clear_faults(self) -> None:
        self._switch({"clear": True})

    def answers(self) -> bool:
        try:
            return bool(self._state())
        except requests.ConnectionError:
            return False

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = requests.get(f"{self.address}/state.json", timeout=5).json()
        return state

    def _switch(self, wish: Mapping[str, object]) -> None:
        requests.post(f"{self.address}/faults", json=wish, timeout=5).raise_for_status()


@dataclass
class Stage:
    """What is accepted is in the tests' database; everything else is started here and ended with the test."""

    folder: Path
    broker: Server
    platform: Outside
    environment: dict[str, str]
    programs: list[Program] = field(default_factory=list)

    # --- Programs ---

    def worker(self, *, queues: str = "provider,mail,sweeps", wait: bool = True) -> Program:
        name = f"worker-{len(self.programs)}"
        limits = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "INFO")
        program = self.start(name, *CELERY, "worker", "-P", "threads", "-c", "4", "-Q", queues, "-n", name, *limits)
        if wait:
            until(lambda: "ready." in program.tail(50))
        return program

    def start(self, name: str, *arguments: str, **environment: str) -> Program:
        program = Program(
            name=name,
            command=[sys.executable, *arguments],
            log=self.folder / f"{name}.log",
            environment=self.environment | environment,
            folder=ROOT,
        )
        self.programs.append(program)
        program.start()
        return program

    # --- Messages and time ---

    def sweep(self, *tasks: str, times: int = 1) -> None:
        """What the scheduler sends, through the broker that is here."""
        with Connection(self.broker.url) as line:
            for task in (tasks or (PROVISION, LETTERS)) * times:
                app.send_task(task, connection=line)

    def expire_leases(self) -> None:
        """The time passes that a lease lasts."""
        for model in (ProviderAccount, Letter):
            model.objects.filter(lease_until__isnull=False).update(lease_until=timezone.now())

    def make_due(self) -> None:
        """The time passes until everything that is owed is due again."""
        for model in (ProviderAccount, Letter):
            model.objects.filter(due_at__isnull=False, stuck_at=None).update(due_at=timezone.now())

    def let_lines_rest(self) -> None:
        """The time passes until a provider that is down may be tried once more."""
        down = ProviderLine.objects.filter(down_since__isnull=False)
        down.update(next_probe_at=timezone.now(), probing=False)

    def settle(self, *, watching: Program | None = None) -> None:
        """Sweep, as the scheduler does, until nothing is owed; start a worker again that has ended, as its supervisor
        would."""
        end = time.monotonic() + PATIENCE
        while self.owed():
            assert time.monotonic() < end, f"still owed: {self.owed()}"
            if watching and not watching.running:
                watching.start()
            self.sweep()
            time.sleep(0.2)

    # --- What is so ---

    def owed(self) -> dict[str, int]:
        counts = {model.__name__: model.objects.owed().count() for model in (ProviderAccount, Letter)}
        return {name: count for name, count in counts.items() if count}

    def mails(self) -> list[Mail]:
        return read_mail(self.folder / "mail")

    def check_all_done(self, *, accepted: int) -> None:
        """Everybody who was accepted has one open account at the platform, and was told so once."""
        assert self.owed() == {}
        seated = Enrollment.objects.filter(state=Enrollment.State.SEATED)
        assert seated.count() == accepted
        ours = {str(account.external_id): account.user.email for account in _accounts()}
        theirs = Counter((each["external_id"], each["email"], each["active"]) for each in self.platform.accounts())
        assert theirs == Counter((external_id, email, True) for external_id, email in ours.items())
        ready = Letter.objects.filter(kind=Letter.Kind.ACCOUNT_READY).values_list("enrollment_id", flat=True)
        assert sorted(ready) == sorted(seated.values_list("pk", flat=True))


def _accounts() -> list[ProviderAccount]:
    return list(ProviderAccount.objects.filter(must_be_active=True).select_related("user"))


@contextmanager
def set_up(folder: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        broker = stack.enter_context(servers.valkey(folder / "valkey", durable=False))
        mail = servers.free_port()
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "DATABASE_URL": _database_url(),
            "REDIS_URL": broker.url,
            "EMAIL_URL": f"smtp://127.0.0.1:{mail}",
            "PYTHONUNBUFFERED": "1",
        }
        stage = Stage(folder, broker, _platform(folder), environment)
        stack.callback(stop_all, stage.programs, within=0.0)
        stage.programs.append(stage.platform.program)
        stage.platform.program.start()
        stage.start("mail", "-m", "portal.sandbox.mail", "--port", str(mail), "--maildir", str(folder / "mail"))
        until(stage.platform.answers)
        until(lambda: (folder / "mail").is_dir())
        yield stage


def _platform(folder: Path) -> Outside:
    port = str(servers.free_port())
    run = ("-m", "portal.sandbox.platform", "--port", port, "--state", str(folder / "accounts.jsonl"))
    program = Program("platform", [sys.executable, *run], folder / "platform.log", folder=ROOT)
    return Outside(program, f"http://127.0.0.1:{port}")


def _database_url() -> str:
    """The tests' own database, which pytest-django has made beside the one in the settings."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


def stall(program: Program) -> None:
    os.kill(program.pid, signal.SIGSTOP)


def go_on(program: Program) -> None:
    os.kill(program.pid, signal.SIGCONT)
