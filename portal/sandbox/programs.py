"""Programs that run beside us: started, watched, ended in time, and never left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TIED = Path(__file__).with_name("tied.py")


class ProgramError(Exception):
    """A program could not be started, or ended by itself; the text shows the end of its log."""


@dataclass(frozen=True)
class Account:
    """The system user a program runs as."""

    uid: int = field(default_factory=os.geteuid)
    gid: int = field(default_factory=os.getegid)

    @property
    def is_ours(self) -> bool:
        return self.uid == os.geteuid()

    def run(
        self, command: Sequence[str], *, text: str = "", environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs to the end, in a folder that every user can reach: ours may be closed to this one."""
        return subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            errors="replace",
            cwd="/",
            env=environment,
            user=None if self.is_ours else self.uid,
            group=None if self.is_ours else self.gid,
            extra_groups=None if self.is_ours else [],
        )


@dataclass
class Program:
    """One program of ours; what it says goes to its log. Start it from a thread that lives as long as it."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    account: Account = field(default_factory=Account)
    folder: Path | None = None
    ends_on: signal.Signals = signal.SIGTERM
    when_orphaned: signal.Signals = signal.SIGKILL
    pass_fds: Sequence[int] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """The log is appended to, so that the end of an earlier life can still be read."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._tie(), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=dict(self.environment),
                pass_fds=self.pass_fds,
            )

    def _tie(self) -> list[str]:
        numbers = (self.when_orphaned, os.getpid(), self.account.uid, self.account.gid)
        return [sys.executable, "-I", "-S", str(TIED), *(str(int(number)) for number in numbers)]

    @property
    def pid(self) -> int:
        if self.process is None:
            raise ProgramError(f"{self.name} was never started")
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def stop(self, *, within: float = 4.0) -> None:
        stop_all([self], within=within)

    def kill(self) -> None:
        """As a crash would: nothing is written any more."""
        self._send(signal.SIGKILL)
        self._wait(5.0)

    def tail(self, lines: int = 15) -> str:
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    @property
    def exit_code(self) -> int | None:
        return self.process.poll() if self.process else None

    def failure(self) -> ProgramError:
        text = f"{self.name} ended (exit code {self.exit_code}). The end of {self.log}:\n{self.tail()}"
        return ProgramError(text)

    def wait(self) -> int:
        """To the end, however long it takes; gives the exit code."""
        return self.process.wait() if self.process else 0

    def _send(self, number: signal.Signals) -> None:
        if self.process is not None and self.running:
            self.process.send_signal(number)

    def _wait(self, seconds: float) -> bool:
        if self.process is None:
            return True
        try:
            self.process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


def stop_all(programs: Iterable[Program], *, within: float) -> None:
    """All are asked at once; what has not ended within so many seconds is killed."""
    programs = list(programs)
    until = time.monotonic() + within
    for program in programs:
        program._send(program.ends_on)
    for program in programs:
        if not program._wait(until - time.monotonic()):
            program.kill()


def command_of(pid: int) -> str:
    """The command line of a living process, or nothing."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        if Path("/proc/self/cmdline").exists():
            return ""
    asked = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return asked.stdout


def end_leftover(pidfile: Path, *, marks: Sequence[str]) -> None:
    """Ends what an earlier run, killed hard, left running.

    The process is known by its command line, which holds every mark; a number that now belongs to another
    program is only forgotten.
    """
    try:
        pid = int(pidfile.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    if all(mark in command_of(pid) for mark in marks):
        _end_stranger(pid, marks)
    pidfile.unlink(missing_ok=True)


def _end_stranger(pid: int, marks: Sequence[str]) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        os.kill(pid, number)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            if not all(mark in command_of(pid) for mark in marks):
                return
            time.sleep(0.05)
