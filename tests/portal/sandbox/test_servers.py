"""The servers of the demo and the tests: they start anywhere, keep what they should, and leave nothing."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg2
import pytest
import redis

from portal.sandbox import servers
from portal.sandbox.programs import ProgramError, command_of

ROOT = Path(__file__).resolve().parents[3]


def ask(url: str, *statements: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    connection.close()
    return rows


def taken(url: str, *, put: str | None = None) -> str | None:
    with redis.Redis.from_url(url, decode_responses=True) as client:
        if put is not None:
            client.set("taken", put)
        value = client.get("taken")
    return None if value is None else str(value)


def gone(pid: int, *, within: float = 5.0) -> bool:
    until = time.monotonic() + within
    while command_of(pid) and time.monotonic() < until:
        time.sleep(0.05)
    return command_of(pid) == ""


def test_postgres_knows_letters_and_extensions(tmp_path: Path) -> None:
    with servers.postgres(tmp_path / "a b" / "postgres", durable=False) as server:
        extensions = [f"CREATE EXTENSION {name}" for name in ("pg_trgm", "unaccent", "btree_gist")]
        rows = ask(server.url, *extensions, "SELECT unaccent('Élève'), upper('é'), similarity('élève', 'eleve') < 1")
        words = ask(server.url, "SELECT array_length(show_trgm('é'), 1), pg_encoding_to_char(encoding)"
                    " FROM pg_database WHERE datname = current_database()")  # fmt: skip
    assert rows == [("Eleve", "É", True)]
    assert words == [(2, "UTF8")]


def test_postgres_keeps_its_data_when_durable(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with servers.postgres(folder, durable=True) as server:
        ask(server.url, "CREATE TABLE seats AS SELECT 7 AS taken")
        assert ask(server.url, "SHOW fsync") == [("on",)]
    with servers.postgres(folder, durable=True) as server:
        assert ask(server.url, "SELECT taken FROM seats") == [(7,)]
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    servers.remove(folder)
    assert not folder.exists()


def test_postgres_leaves_nothing_when_not_durable(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with servers.postgres(folder, durable=False) as server:
        pid = server.pid
    assert gone(pid)
    assert list(tmp_path.iterdir()) == []


def test_postgres_wants_its_password(tmp_path: Path) -> None:
    with (
        servers.postgres(tmp_path / "postgres", durable=False) as server,
        pytest.raises(psycopg2.OperationalError, match="password authentication failed"),
    ):
        psycopg2.connect(host="127.0.0.1", port=server.port, user="leerkaart", password="guess", dbname="leerkaart")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to choose another user")
def test_postgres_of_root_lives_elsewhere_when_its_user_cannot_reach_the_folder(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with servers.postgres(closed / "postgres", durable=False) as server:
        elsewhere = Path((closed / "postgres" / "elsewhere").read_text())
        assert ask(server.url, "SELECT 1") == [(1,)]
        assert (elsewhere / "data").stat().st_uid != 0
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert not elsewhere.exists()


@pytest.mark.faults
def test_postgres_starts_again_at_the_same_address_after_a_crash(tmp_path: Path) -> None:
    with servers.postgres(tmp_path / "postgres", durable=True) as server:
        ask(server.url, "CREATE TABLE seats AS SELECT 7 AS taken")
        server.kill()
        assert not server.running
        server.start()
        assert ask(server.url, "SELECT taken FROM seats") == [(7,)]
    servers.remove(tmp_path / "postgres")


@pytest.mark.faults
def test_postgres_ends_a_leftover_of_its_own_folder(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with servers.postgres(folder, durable=True) as first, servers.postgres(folder, durable=True) as second:
        assert (first.running, second.running) == (False, True)
    servers.remove(folder)


def test_postgres_forgets_a_stale_number_that_is_now_another_program(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with servers.postgres(folder, durable=True) as server:
        pidfile = server.pidfile
    assert pidfile is not None
    pidfile.write_text(f"{os.getpid()}\n")
    with servers.postgres(folder, durable=True) as server:
        assert ask(server.url, "SELECT 1") == [(1,)]
    servers.remove(folder)


@pytest.mark.faults
def test_valkey_keeps_its_data_over_a_crash_when_durable(tmp_path: Path) -> None:
    with servers.valkey(tmp_path / "valkey", durable=True) as server:
        taken(server.url, put="7")
        server.kill()
        server.start()
        assert taken(server.url) == "7"


def test_valkey_leaves_nothing_when_not_durable(tmp_path: Path) -> None:
    with servers.valkey(tmp_path / "val key", durable=False) as server:
        assert taken(server.url, put="7") == "7"
        pid = server.pid
    assert gone(pid)
    assert list(tmp_path.iterdir()) == []


def test_server_says_that_its_port_is_taken(tmp_path: Path) -> None:
    with servers.valkey(tmp_path / "valkey", durable=False) as server, socket.socket() as other:
        server.stop()
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", server.port))
        other.listen()
        with pytest.raises(ProgramError, match=r"Valkey ended[\s\S]*Address already in use"):
            server.start()


def test_both_takes_the_servers_that_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"DATABASE_URL": "postgres://somewhere/else", "REDIS_URL": "redis://somewhere/1"}
    for name, url in given.items():
        monkeypatch.setenv(name, url)
    with servers.both(tmp_path, durable=False) as urls:
        assert urls == given
    assert list(tmp_path.iterdir()) == []


@pytest.mark.faults
def test_servers_do_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from portal.sandbox import servers\n"
        "folder = Path(sys.argv[1])\n"
        "with servers.postgres(folder / 'p', durable=True) as p, servers.valkey(folder / 'v', durable=True) as v:\n"
        "    print(p.pid, v.pid, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(signal.SIGKILL)
    assert [gone(pid) for pid in pids] == [True, True]
    servers.remove(tmp_path / "p")
