"""The demo as it is started by `make demo`: one at a time, told what is wrong, and gone when it ends."""

import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import manage
from catalog.provider.notices import keys
from portal.sandbox import servers
from portal.sandbox.demo import ROOT, listening
from portal.sandbox.demo_folder import DemoFolder
from portal.sandbox.programs import Account, Program, ProgramError, command_of, stop_all

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def sleeper(folder: Path, code: str = "print('up', flush=True); import time; time.sleep(60)") -> Program:
    program = Program(name="sleeper", command=[sys.executable, "-c", code], log=folder / "sleeper.log")
    program.start()
    while "up" not in program.tail():
        time.sleep(0.02)
    return program


def test_demo_runs_once_in_a_clone(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path / ".demo")
    message = f"runs already: http://127.0.0.1:8010 .* kill {os.getpid()}"
    with (
        folder.held(),
        folder.announced({"SITE_URL": "http://127.0.0.1:8010"}),
        pytest.raises(ProgramError, match=message),
    ):
        folder.held().__enter__()
    with folder.held():
        assert sorted(path.name for path in folder.path.iterdir()) == ["lock"]


def test_demo_names_a_taken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.sandbox.demo.PORT_SECONDS", 0.0)
    with taken_port() as port, pytest.raises(ProgramError, match=f"Port {port} is taken.* make demo PORT={port + 10}"):
        listening(port).__enter__()


@pytest.mark.parametrize("port", [-1, 70000])
def test_demo_names_an_impossible_port(port: int) -> None:
    with pytest.raises(ProgramError, match=f"There is no port {port}"):
        listening(port).__enter__()


def test_demo_makes_its_secrets_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    made = folder.secrets()
    secret = "SANDBOX_WEBHOOK_SECRET"
    names = ["SANDBOX_LIBRARY_PASSWORD", "SANDBOX_PLATFORM_TOKEN", secret, "SECRET_KEY", "SIGN_ON_KEY"]
    assert sorted(made) == names
    assert len(keys(made[secret])) == 1
    assert len(made["SECRET_KEY"]) >= 50
    assert folder.secrets() == made
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o600


def test_demo_keeps_its_list_of_erasures(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    folder.prepare()
    folder.erasures.write_text("a line")
    folder.prepare()
    assert folder.erasures.read_text() == "a line"
    assert stat.S_IMODE(folder.erasures.stat().st_mode) == 0o600


def test_demo_keeps_its_ports_while_they_are_free(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    port = folder.port("mail")
    assert folder.port("mail") == port
    with taken_port() as taken:
        folder.write_lines("ports", {"mail": str(taken)})
        assert folder.port("mail") != taken


def test_demo_reset_keeps_nothing_but_the_lock(tmp_path: Path) -> None:
    folder = DemoFolder(tmp_path)
    with folder.held():
        folder.secrets()
        folder.prepare()
        folder.empty()
        assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_command_line_finds_the_demo_only_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manage, "DEMO", tmp_path)
    environment = {"SITE_URL": "http://127.0.0.1:8010", "SANDBOX_MAIL": "/a folder/mail=box"}
    with DemoFolder(tmp_path).announced({"DATABASE_URL": "postgres://here", **environment}):
        monkeypatch.setattr(os, "environ", {"SITE_URL": "https://mine"})
        manage.use_the_demo()
        assert os.environ == {"DATABASE_URL": "postgres://here", **environment, "SITE_URL": "https://mine"}
    monkeypatch.setattr(os, "environ", {})
    (tmp_path / "pid").write_text("")
    manage.use_the_demo()
    assert os.environ == {}


def test_program_that_does_not_listen_is_killed_in_time(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    programs = [sleeper(tmp_path, STUBBORN), sleeper(tmp_path / "second")]
    began = time.monotonic()
    stop_all(programs, within=0.5)
    assert time.monotonic() - began < 1.5
    assert [program.exit_code for program in programs] == [-signal.SIGKILL, -signal.SIGTERM]


def test_program_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    program = sleeper(tmp_path, "print('up'); raise SystemExit('what went wrong')")
    assert program.wait() == 1
    with pytest.raises(ProgramError, match=r"sleeper ended \(exit code 1\)[\s\S]*what went wrong"):
        raise program.failure()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as another user")
def test_program_of_another_user_is_that_user_alone(tmp_path: Path) -> None:
    log = tmp_path / "program.log"
    command = ["/bin/sh", "-c", 'echo "$(id -u) $(id -G)"']  # the interpreter may be out of that user's reach
    program = Program(name="other", command=command, log=log, account=Account(65534, 65534), folder=Path("/"))
    program.start()
    assert program.wait() == 0
    assert log.read_text() == "65534 65534\n"


@pytest.mark.slow
@pytest.mark.faults
def test_demo_starts_revives_what_dies_and_ends_within_five_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "de mo").mkdir()
    with monkeypatch.context() as luck:  # one secret in 64 begins with a hyphen
        luck.setattr(secrets, "token_urlsafe", lambda length: "-" + secrets.token_hex(length))
        DemoFolder(tmp_path / "de mo").secrets()
    port, pids = servers.free_port(), set[int]()
    command = [sys.executable, "-m", "portal.sandbox.demo", "--port", str(port), "--folder", str(tmp_path / "de mo")]
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        try:
            said = read_until(demo, "Stop: Ctrl-C")
            assert f"http://127.0.0.1:{port}/admin/" in said
            pids = children_of(demo.pid)
            os.kill(int((tmp_path / "de mo" / "run" / "beat.pid").read_text()), signal.SIGKILL)
            assert "beat ended (exit code -9); starting it again." in read_until(demo, "beat ended")
            pids |= children_of(demo.pid)
        finally:
            began = time.monotonic()
            demo.terminate()
            rest = demo.stdout.read()
    assert (demo.returncode, rest.strip()) == (0, "Stopped. Nothing is left running.")
    assert time.monotonic() - began < 5
    assert [pid for pid in pids if command_of(pid)] == []
    servers.remove(tmp_path / "de mo" / "postgres")


def read_until(demo: "subprocess.Popen[str]", text: str) -> str:
    assert demo.stdout is not None
    said = ""
    while text not in said:
        line = demo.stdout.readline()
        assert line, f"the demo ended: {said}"
        said += line
    return said


def children_of(pid: int) -> set[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    found = {int(child) for child in text.split()}
    return found.union(*(children_of(child) for child in found))
