"""What is measured runs here: its own servers, with every write flushed to disk, in a folder that goes afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from portal.sandbox import servers
from portal.sandbox.programs import Program, stop_all

ROOT = Path(__file__).resolve().parents[1]
Work = Callable[[], object]
WORKER = ("-m", "celery", "-A", "portal.celery", "worker", "-P", "threads", "--without-gossip", "--without-mingle")


def report(name: str, value: float, unit: str, ratio: float) -> None:
    """One figure a line: name, value, unit, and its ratio to the ceiling measured in the same run."""
    print(f"{name} {value:.4g} {unit} {ratio:.2f}", flush=True)


def milliseconds(work: Work) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


@dataclass(frozen=True)
class Stage:
    folder: Path

    @property
    def mail(self) -> Path:
        return self.folder / "mail"

    @contextlib.contextmanager
    def web(self) -> Iterator[tuple[str, int]]:
        """The site as in production, with two processes; its address."""
        port = servers.free_port()
        gunicorn = ("-m", "gunicorn", "--config", "python:portal.gunicorn", "portal.wsgi")
        options = ("--workers", "2", "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "2")
        with self.running("web", *gunicorn, *options) as program:
            wait_for(program, "Booting worker", 2)
            yield "127.0.0.1", port

    @contextlib.contextmanager
    def outside_world(self) -> Iterator[None]:
        """The training platform and the mail server, at the addresses in the settings."""
        platform, mail = os.environ["SANDBOX_PLATFORM_URL"], os.environ["EMAIL_URL"]
        at_platform = ("--port", str(urlsplit(platform).port), "--state", str(self.folder / "platform.jsonl"))
        at_mail = ("--port", str(urlsplit(mail).port), "--maildir", str(self.mail))
        with (
            self.running("platform", "-m", "portal.sandbox.platform", *at_platform) as first,
            self.running("mail-server", "-m", "portal.sandbox.mail", *at_mail) as second,
        ):
            wait_for(first, "Training platform on")
            wait_for(second, "Mail server on")
            yield

    @contextlib.contextmanager
    def workers(self) -> Iterator[None]:
        """As in the demo: one process for the provider, one for mail."""
        with (
            self.running("provider", *WORKER, "-Q", "provider", "-c", "8", "-n", "provider@%h") as first,
            self.running("mail", *WORKER, "-Q", "mail,sweeps", "-c", "4", "-n", "mail@%h") as second,
        ):
            for program in (first, second):
                wait_for(program, "[queues]")
            yield

    @contextlib.contextmanager
    def running(self, name: str, *arguments: str) -> Iterator[Program]:
        environment = os.environ | {"PYTHONUNBUFFERED": "1"}
        log = self.folder / f"{name}.log"
        program = Program(name, [sys.executable, *arguments], log, environment=environment, folder=ROOT)
        program.start()
        try:
            yield program
        finally:
            stop_all([program], within=4.0)


def wait_for(program: Program, words: str, times: int = 1) -> None:
    until = time.monotonic() + 60
    while program.log.read_text(errors="replace").count(words) < times:
        if not program.running or time.monotonic() > until:
            raise program.failure()
        time.sleep(0.05)


@contextlib.contextmanager
def set_up() -> Iterator[Stage]:
    """Servers, settings, tables and static files; Django is ready afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="leerkaart-benchmarks-"))
    folder.chmod(0o711)  # the database's user passes through
    try:
        with servers.both(folder, durable=True) as urls:
            os.environ.update(settings_for(urls, folder))
            for command in (["migrate", "-v0"], ["createcachetable"], ["collectstatic", "--noinput", "-v0"]):
                subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, check=True, stdout=sys.stderr)
            import django

            django.setup()
            yield Stage(folder)
    finally:
        for name in ("postgres", "valkey"):
            servers.remove(folder / name)
        shutil.rmtree(folder, ignore_errors=True)


def settings_for(urls: dict[str, str], folder: Path) -> dict[str, str]:
    """As in production but for HTTPS; visitors come through a proxy, so that each has an address of their own."""
    return urls | {
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "SECRET_KEY": "not-a-secret-only-for-benchmarks-0123456789-0123456789-0123",
        "DEBUG": "off",
        "SITE_URL": "http://127.0.0.1",
        "ALLOWED_HOSTS": "127.0.0.1",
        "TRUSTED_PROXY_COUNT": "1",
        "EMAIL_URL": f"smtp://127.0.0.1:{servers.free_port()}",
        "SANDBOX": "on",
        "SANDBOX_MAIL": str(folder / "mail"),
        "SANDBOX_PLATFORM_URL": f"http://127.0.0.1:{servers.free_port()}",
        "SANDBOX_PLATFORM_TOKEN": "not-a-secret-only-for-benchmarks",
        "SANDBOX_LIBRARY_PORT": str(servers.free_port()),
        "SANDBOX_LIBRARY_FAULT": str(folder / "library.fault"),
        "SANDBOX_LIBRARY_PASSWORD": "not-a-secret-only-for-benchmarks",
        "ALLOW_PRIVATE_ADDRESSES": "on",
        "LOG_LEVEL": "WARNING",
    }
