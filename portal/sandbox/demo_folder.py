"""What the demo of a clone keeps in `.demo`: its lock, its secrets, its ports, and what manage.py reads."""

import base64
import contextlib
import fcntl
import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from portal.sandbox import servers
from portal.sandbox.programs import ProgramError, end_leftover


@dataclass(frozen=True)
class DemoFolder:
    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "log"

    @property
    def mail(self) -> Path:
        return self.path / "mail"

    @property
    def fault(self) -> Path:
        """Of the library system, as the sandbox's page switches it."""
        return self.path / "library.fault"

    @property
    def erasures(self) -> Path:
        return self.path / "erasures"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """For one demo at a time; the kernel lets go of the lock however the process ends."""
        self.path.mkdir(exist_ok=True)
        self.path.chmod(0o711)  # PostgreSQL's user passes through
        with (self.path / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ProgramError(self._already()) from None
            yield

    def _already(self) -> str:
        pid, site = _read(self.path / "pid"), self.lines("environment").get("SITE_URL", "")
        return f"The demo of this clone runs already: {site} (to stop it: Ctrl-C where it runs, or kill {pid})."

    def empty(self) -> None:
        """Everything but the lock, which is held."""
        servers.remove(self.path / "postgres")
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()

    def prepare(self) -> None:
        """Fresh logs, and nothing goes wrong; whatever an earlier demo that was killed hard left running is ended."""
        for folder in (self.logs, self.path / "run"):
            folder.mkdir(exist_ok=True)
        for pidfile in (self.path / "run").glob("*.pid"):
            end_leftover(pidfile, marks=["portal"])
        for log in self.logs.glob("*.log"):
            log.unlink()
        self.fault.unlink(missing_ok=True)
        self.erasures.touch(mode=0o600)

    def note_pid(self, name: str, pid: int) -> None:
        (self.path / "run" / f"{name}.pid").write_text(f"{pid}\n")

    # --- Files of NAME=value lines ---

    def lines(self, name: str) -> dict[str, str]:
        lines = _read(self.path / name).splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}

    def write_lines(self, name: str, values: Mapping[str, str]) -> None:
        """Readable by its owner alone, and replaced as a whole."""
        new = self.path / f"{name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in values.items())
        new.replace(self.path / name)

    def secrets(self) -> dict[str, str]:
        """Made once, so that sessions and the platform's accounts outlive a restart."""
        kept = self.lines("secrets")
        for name in ("SECRET_KEY", "SANDBOX_PLATFORM_TOKEN", "SANDBOX_LIBRARY_PASSWORD"):
            kept.setdefault(name, secrets.token_urlsafe(48))
        kept.setdefault("SANDBOX_WEBHOOK_SECRET", f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")
        if "SIGN_ON_KEY" not in kept:
            kept["SIGN_ON_KEY"] = _new_key()
        self.write_lines("secrets", kept)
        return kept

    def port(self, name: str) -> int:
        """The same as last time where it is still free, so that addresses in old letters keep working."""
        kept = self.lines("ports")
        if name not in kept or not is_free(int(kept[name])):
            kept[name] = str(servers.free_port())
            self.write_lines("ports", kept)
        return int(kept[name])

    @contextlib.contextmanager
    def announced(self, environment: Mapping[str, str]) -> Iterator[None]:
        """While this lasts, manage.py in this clone finds the demo's servers."""
        self.write_lines("environment", environment)
        (self.path / "pid").write_text(f"{os.getpid()}\n")
        try:
            yield
        finally:
            for name in ("pid", "environment"):
                (self.path / name).unlink(missing_ok=True)


def _new_key() -> str:
    """In PEM, on one line (`portal.environment.sign_on_keys`)."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode().replace("\n", "\\n")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
