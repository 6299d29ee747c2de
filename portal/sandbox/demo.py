"""The whole product with demo data, in one process group: `make demo`.

Starts the servers, prepares the data, starts the product, watches all of it, and ends all of it within 5 s.
"""

import argparse
import contextlib
import ctypes
import errno
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from portal.sandbox import servers
from portal.sandbox.demo_folder import DemoFolder
from portal.sandbox.programs import Program, ProgramError, stop_all

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120.0
# Five seconds for everything: the product first, then the servers it needs, and what is left is killed.
PRODUCT_SECONDS, SERVER_SECONDS = 2.5, 1.5
MOST_RESTARTS, RESTART_WINDOW = 5, 60.0
PORT_SECONDS = 2.0  # an earlier demo may just be ending
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_CHILD_SUBREAPER = 36


class Ended(BaseException):
    """Somebody asked for the end: Ctrl-C, SIGTERM, or a closed terminal."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="of the site, on 127.0.0.1")
    parser.add_argument("--reset", action="store_true", help="forget the demo's data first")
    parser.add_argument("--folder", type=Path, default=ROOT / ".demo", help="where the demo keeps its data")
    options = parser.parse_args(arguments)
    _end_on_signals()
    _adopt_orphans()
    try:
        run(DemoFolder(options.folder.absolute()), port=options.port, reset=options.reset)
    except ProgramError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except Ended:
        _say("Stopped. Nothing is left running.")
    return 0


def run(folder: DemoFolder, *, port: int, reset: bool) -> None:
    """Returns never: it is ended by a signal, or by a program that cannot be kept alive."""
    with folder.held(), listening(port) as web:
        if reset:
            folder.empty()
        folder.prepare()
        with contextlib.ExitStack() as stack:
            demo = Demo(folder, web)
            stack.callback(_kill_strays)
            demo.start_servers(stack)
            stack.callback(demo.stop)
            stack.enter_context(folder.announced(demo.settings))
            demo.start_product()
            demo.wait_until_ready()
            _say(demo.where_to_look())
            demo.watch()


class Demo:
    def __init__(self, folder: DemoFolder, web: socket.socket) -> None:
        self.folder = folder
        self.web = web
        self.site = f"http://127.0.0.1:{web.getsockname()[1]}"
        self.ports = {name: folder.port(name) for name in ("platform", "mail", "library")}
        self.settings = self._settings()
        self.servers: list[Program] = []
        self.product: list[Program] = []
        self.restarts: list[tuple[str, float]] = []

    def _settings(self) -> dict[str, str]:
        given = {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)}
        return given | {
            **self.folder.secrets(),
            "DEBUG": "off",
            "SITE_URL": self.site,
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "EMAIL_URL": f"smtp://127.0.0.1:{self.ports['mail']}",
            "DEFAULT_FROM_EMAIL": "Leerkaart <leerkaart@localhost>",
            "SANDBOX": "on",
            "SANDBOX_MAIL": str(self.folder.mail),
            "SANDBOX_PLATFORM_URL": f"http://127.0.0.1:{self.ports['platform']}",
            "SANDBOX_LIBRARY_PORT": str(self.ports["library"]),
            "SANDBOX_LIBRARY_FAULT": str(self.folder.fault),
            "ERASURE_LIST": str(self.folder.erasures),
            # The library system stands on this machine.
            "ALLOW_PRIVATE_ADDRESSES": "on",
        }

    # --- Starting ---

    def start_servers(self, stack: contextlib.ExitStack) -> None:
        for name, setting, server in (
            ("postgres", "DATABASE_URL", servers.postgres),
            ("valkey", "REDIS_URL", servers.valkey),
        ):
            if setting not in self.settings:
                _say(f"Starting {name} …")
                log = self.folder.logs / f"{name}.log"
                started = stack.enter_context(server(self.folder.path / name, durable=True, log=log))
                self.servers.append(started)
                self.settings[setting] = started.url

    def start_product(self) -> None:
        self._start("static", "manage.py", "collectstatic", "--noinput", "-v0")
        static = self.product.pop()
        _say("Preparing the database and the demo data …")
        for command in (["migrate", "--noinput", "-v0"], ["createcachetable"]):
            self._finish(command[0], "manage.py", *command)
        self._start_outside_world()
        self._finish("load_demo", "manage.py", "load_demo")
        self._wait_for(static)
        _say("Starting the site and its workers …")
        self._start_site()

    def _start_outside_world(self) -> None:
        platform, mail, library = (str(self.ports[name]) for name in ("platform", "mail", "library"))
        # Secrets come with the settings: as an argument everybody on the machine could read them, and one that begins
        # with a hyphen would be taken for an option.
        state = str(self.folder.path / "platform.json")
        self._start("platform", "-m", "portal.sandbox.platform", "--port", platform, "--state", state)
        self._start("mail", "-m", "portal.sandbox.mail", "--port", mail, "--maildir", str(self.folder.mail))
        self._start("library", "-m", "portal.sandbox.library", "--port", library, "--fault", str(self.folder.fault))

    def _start_site(self) -> None:
        celery = ("-m", "celery", "-A", "portal.celery")
        worker = (*celery, "worker", "--pool", "threads", "--without-gossip", "--without-mingle")
        bind = ("--bind", f"fd://{self.web.fileno()}", "--workers", "2", "--threads", "8")
        limits = ("--graceful-timeout", "2", "--timeout", "120", "--no-control-socket")
        self._start("web", "-m", "gunicorn", "portal.wsgi", *bind, *limits, fds=[self.web.fileno()])
        self._start("worker-provider", *worker, "-Q", "provider", "-c", "8", "-n", "provider@%h")
        self._start("worker-mail", *worker, "-Q", "mail,sweeps,libraries", "-c", "4", "-n", "mail@%h")
        schedule = str(self.folder.path / "beat-schedule")
        self._start("beat", *celery, "beat", "--schedule", schedule, "--pidfile", "")

    def _program(self, name: str, arguments: Sequence[str], fds: Sequence[int] = ()) -> Program:
        return Program(
            name=name,
            command=[sys.executable, *arguments],
            log=self.folder.logs / f"{name}.log",
            environment={**os.environ, **self.settings, "PYTHONUNBUFFERED": "1"},
            folder=ROOT,
            pass_fds=fds,
        )

    def _start(self, name: str, *arguments: str, fds: Sequence[int] = ()) -> None:
        program = self._program(name, arguments, fds)
        self.product.append(program)
        program.start()
        self.folder.note_pid(name, program.pid)

    def _finish(self, name: str, *arguments: str) -> None:
        self._start(name, *arguments)
        self._wait_for(self.product.pop())

    def _wait_for(self, program: Program) -> None:
        """A preparation; it is among the programs to stop while it runs."""
        self.product.append(program)
        if program.wait() != 0:
            raise program.failure()
        self.product.remove(program)

    # --- Ready, and after ---

    def wait_until_ready(self) -> None:
        until, answer = time.monotonic() + READY_SECONDS, ""
        while time.monotonic() < until:
            for program in self.product + self.servers:
                if not program.running:
                    raise program.failure()
            status, answer = _ask(self.site, "/readyz")
            if status == http.HTTPStatus.OK:
                return
            time.sleep(0.2)
        raise ProgramError(f"{self.site}/readyz was not ready in {READY_SECONDS:.0f} s: {answer}")

    def where_to_look(self) -> str:
        places = [
            ("Site", "/"),
            ("Workplace (staff)", "/admin/"),
            ("Mailbox", "/sandbox/mail/"),
            ("Sandbox (codes, cards)", "/sandbox/"),
        ]
        lines = [f"{name:<26}{self.site}{path}" for name, path in places]
        lines.insert(2, f"{'Training platform':<26}http://127.0.0.1:{self.ports['platform']}/")
        text = [
            "",
            "Leerkaart is ready.",
            "",
            *lines,
            "",
            *_accounts(),
            f"Logs: {self.folder.logs}",
            "Stop: Ctrl-C",
        ]
        return "\n".join(text)

    def watch(self) -> None:
        while True:
            time.sleep(0.5)
            for program in self.servers + self.product:
                if not program.running:
                    self._revive(program)

    def _revive(self, program: Program) -> None:
        now = time.monotonic()
        self.restarts = [(name, at) for name, at in self.restarts if at > now - RESTART_WINDOW]
        if [name for name, _ in self.restarts].count(program.name) >= MOST_RESTARTS:
            raise program.failure()
        self.restarts.append((program.name, now))
        _say(f"{program.name} ended (exit code {program.exit_code}); starting it again. Its log: {program.log}")
        program.start()
        self.folder.note_pid(program.name, program.pid)

    def stop(self) -> None:
        """From here on further signals are ignored: the end comes in seconds anyway."""
        _ignore_signals()
        stop_all(self.product, within=PRODUCT_SECONDS)
        stop_all(self.servers, within=SERVER_SECONDS)


@contextlib.contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """The site's socket is ours from the first moment: two demos never fight for a port in mid-start."""
    with socket.socket() as web:
        web.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        until = time.monotonic() + PORT_SECONDS
        while not _bound(web, port):
            if time.monotonic() > until:
                raise ProgramError(f"Port {port} is taken. Choose another one: make demo PORT={port + 10}")
            time.sleep(0.1)
        web.listen(128)
        yield web


def _bound(web: socket.socket, port: int) -> bool:
    try:
        web.bind(("127.0.0.1", port))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ProgramError(f"Port {port} cannot be used ({error.strerror}): make demo PORT=8010") from error
        return False
    except OverflowError:
        raise ProgramError(f"There is no port {port}: make demo PORT=8010") from None
    return True


def _ask(site: str, path: str) -> tuple[int, str]:
    """Directly, whatever proxy the environment names."""
    connection = http.client.HTTPConnection(site.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(1000).decode(errors="replace")
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def _accounts() -> list[str]:
    try:
        from portal.sandbox.accounts import DEMO_ACCOUNTS
    except ImportError:
        return []
    lines = [f"  {each.role:<24}{each.email:<36}{each.password}" for each in DEMO_ACCOUNTS]
    return ["Demo accounts:", *lines, ""]


def _end_on_signals() -> None:
    def end(number: int, frame: FrameType | None) -> None:
        _ignore_signals()
        raise Ended

    for each in ENDING:
        # nohup ignores a closed terminal, and so do we then.
        if each != signal.SIGHUP or signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, end)


def _ignore_signals() -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)


def _adopt_orphans() -> None:
    """On Linux, what a killed program leaves behind becomes our child, so that we can end it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def _kill_strays() -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while children.exists() and (pids := children.read_text().split()):
        for pid in map(int, pids):
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
