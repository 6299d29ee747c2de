import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.platform_server import TOKEN, Kind, RunningPlatform, platform, running_platform

__all__ = ["platform"]

ROOT = Path(__file__).resolve().parents[3]
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def call(running: RunningPlatform, method: str, path: str, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {running.token}", **options.pop("headers", {})}
    return requests.request(method, f"{running.base_url}{path}", headers=headers, timeout=5, **options)


def create(running: RunningPlatform, name: str) -> requests.Response:
    body = {
        "schemas": [USER],
        "externalId": f"id-{name}",
        "userName": f"{name}@example.be",
        "name": {"givenName": name, "familyName": "Peeters"},
        "emails": [{"value": f"{name}@example.be", "primary": True}],
    }
    return call(running, "POST", "/Users", json=body)


def names(running: RunningPlatform) -> list[str]:
    return [account["name"] for account in running.accounts()]


def look(running: RunningPlatform, path: str) -> requests.Response:
    return requests.get(running.server.address + path, timeout=5)


def switch(running: RunningPlatform, wish: dict[str, object], **headers: str) -> requests.Response:
    return requests.post(f"{running.server.address}/faults", json=wish, headers=headers, timeout=5)


def test_accounts_survive_a_restart(tmp_path: Path) -> None:
    state = tmp_path / "accounts.jsonl"
    with running_platform(state) as first:
        ada, bo = create(first, "Ada").json(), create(first, "Bo").json()
        gone = create(first, "Cy").json()
        call(first, "DELETE", f"/Users/{gone['id']}")
        closing = {"op": "replace", "path": "active", "value": False}
        schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
        call(first, "PATCH", f"/Users/{bo['id']}", json={"schemas": schemas, "Operations": [closing]})
        before = first.accounts()
    with running_platform(state) as second:
        assert second.accounts() == before
        assert [(account["name"], account["active"]) for account in before] == [
            ("Bo Peeters", False),
            ("Ada Peeters", True),
        ]
        assert create(second, "Ada").status_code == 409
        stale = call(second, "DELETE", f"/Users/{ada['id']}", headers={"If-Match": 'W/"99"'})
        assert stale.status_code == 412


def test_versions_do_not_come_back_after_a_restart(tmp_path: Path) -> None:
    with running_platform(tmp_path / "a") as first:
        create(first, "Ada")
    with running_platform(tmp_path / "a") as second:
        assert create(second, "Bo").headers["ETag"] == 'W/"2"'


@pytest.mark.parametrize("rubbish", [b"", b"\x00\xff rubbish\n", b"{}\n[]\n7\nnull\n", b'{"saved": {"id": "x"}}\n'])
def test_broken_state_is_passed_over_and_kept_aside(tmp_path: Path, rubbish: bytes) -> None:
    state = tmp_path / "accounts.jsonl"
    with running_platform(state) as first:
        create(first, "Ada")
    whole = state.read_bytes()
    state.write_bytes(rubbish + whole + whole[:30])
    with running_platform(state) as second:
        assert names(second) == ["Ada Peeters"]
    assert (tmp_path / "accounts.jsonl.broken").read_bytes() == rubbish + whole + whole[:30]


def test_api_wants_the_token(platform: RunningPlatform) -> None:
    for header in ({}, {"Authorization": "Bearer other"}, {"Authorization": TOKEN}):
        assert requests.get(f"{platform.base_url}/Users", headers=header, timeout=5).status_code == 401


def test_many_connections_at_once_lose_nothing(tmp_path: Path) -> None:
    with running_platform(tmp_path / "a") as running:
        with ThreadPoolExecutor(16) as pool:
            codes = list(pool.map(lambda n: create(running, f"m{n}").status_code, range(64)))
        assert codes == [201] * 64
        everyone = running.accounts()
    with running_platform(tmp_path / "a") as again:
        assert again.accounts() == everyone


@pytest.mark.parametrize(
    ("kind", "status", "made"),
    [
        (Kind.DOWN, 503, 0),
        (Kind.TOO_MANY, 429, 0),
        (Kind.REFUSE, 403, 0),
        (Kind.ERROR_AFTER_CREATING, 500, 1),
        (Kind.SLOW, 201, 1),
    ],
)
def test_fault_happens_as_often_as_asked(platform: RunningPlatform, kind: Kind, status: int, made: int) -> None:
    platform.fault(kind, times=1, seconds=0.2)
    began = time.monotonic()
    answer = create(platform, "Ada")
    took = time.monotonic() - began
    assert (answer.status_code, len(platform.accounts())) == (status, made)
    assert (took >= 0.2) is (kind is Kind.SLOW)
    assert create(platform, "Bo").status_code == 201


def test_dropped_reply_makes_the_account_and_says_nothing(platform: RunningPlatform) -> None:
    platform.fault(Kind.DROPPED_REPLY, times=1)
    with pytest.raises(requests.ConnectionError):
        create(platform, "Ada")
    assert names(platform) == ["Ada Peeters"]


def test_refusing_new_accounts_leaves_everything_else_working(platform: RunningPlatform) -> None:
    platform.fault(Kind.REFUSE)
    assert call(platform, "GET", "/Users").status_code == 200
    assert create(platform, "Ada").status_code == 403


def test_faults_are_switched_by_json(platform: RunningPlatform) -> None:
    on = switch(platform, {"kind": "slow", "times": 3, "seconds": 0.5})
    assert on.json() == [{"kind": "slow", "seconds": 0.5, "times": 3}]
    assert [f["kind"] for f in switch(platform, {"kind": "down"}).json()] == ["slow", "down"]
    assert [f["kind"] for f in switch(platform, {"kind": "slow", "on": False}).json()] == ["down"]
    assert switch(platform, {"clear": True}).json() == []


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"kind": "fire"},
        {"kind": "slow", "seconds": -1},
        {"kind": "slow", "seconds": "nan"},
        {"kind": "down", "times": 0},
    ],
)
def test_impossible_fault_is_refused(platform: RunningPlatform, wish: dict[str, object]) -> None:
    assert switch(platform, wish).status_code == 400
    assert look(platform, "/state.json").json()["faults"] == []


def test_faults_are_not_switched_from_another_site(platform: RunningPlatform) -> None:
    assert switch(platform, {"kind": "down"}, Origin="https://elsewhere.example").status_code == 403
    assert switch(platform, {"kind": "down"}, Origin=platform.server.address).status_code == 200


def test_form_switches_and_leads_back_to_the_page(platform: RunningPlatform) -> None:
    form = {"kind": "too_many", "times": "", "seconds": "5", "on": "true"}
    address = f"{platform.server.address}/faults"
    answer = requests.post(address, data=form, timeout=5, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert "Now: too many." in look(platform, "/").text
    limited = call(platform, "GET", "/Users")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "5")


def test_page_shows_accounts_safely(platform: RunningPlatform) -> None:
    create(platform, "<script>alert(1)</script>")
    answer = look(platform, "/")
    assert "<td>&lt;script&gt;alert(1)&lt;/script&gt; Peeters</td>" in answer.text
    assert ("<script" in answer.text, "style=" in answer.text, "<style" in answer.text) == (False, False, False)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert look(platform, "/platform.css").headers["Content-Type"] == "text/css; charset=utf-8"
    assert look(platform, "/other").status_code == 404


def test_state_counts_calls_by_method_and_second(platform: RunningPlatform) -> None:
    create(platform, "Ada")
    call(platform, "GET", "/Users")
    state = look(platform, "/state.json").json()
    assert state["calls"]["by_method"] == {"POST": 1, "GET": 1}
    assert sum(state["calls"]["per_second"].values()) == 2
    assert [(account["name"], account["active"]) for account in state["accounts"]] == [("Ada Peeters", True)]


def test_odd_requests_do_not_harm_the_server(platform: RunningPlatform) -> None:
    for body in (b"", b"{", b"\xff", b"[1]", b"x" * 1_000_001):
        answer = call(platform, "POST", "/Users", data=body, headers={"Content-Type": "application/scim+json"})
        assert answer.status_code in (400, 413)
    assert create(platform, "Ada").status_code == 201


@contextmanager
def process(state: Path, port: int = 0) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "portal.sandbox.platform", "--port", str(port), "--state", str(state)]
    started = subprocess.Popen(
        [*command, "--token", TOKEN], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert started.stdout is not None
    try:
        yield started, started.stdout.readline().strip()
    finally:
        started.kill()
        started.communicate()


def test_program_serves_ends_at_once_and_keeps_its_accounts(tmp_path: Path) -> None:
    body = {"schemas": [USER], "externalId": "x", "userName": "Ada"}
    with process(tmp_path / "a") as (first, said):
        assert said.startswith("Training platform on http://127.0.0.1:")
        address = said.rpartition(" ")[2]
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {TOKEN}"
            assert session.post(f"{address}v2/Users", json=body, timeout=5).status_code == 201
            began = time.monotonic()
            first.send_signal(signal.SIGTERM)
            assert (first.wait(timeout=5), time.monotonic() - began < 1) == (0, True)
        out, err = first.communicate()
        assert (out, err) == ("", "")
    with process(tmp_path / "a") as (_, said):
        shown = requests.get(f"{said.rpartition(' ')[2]}state.json", timeout=5).json()
        assert [account["user_name"] for account in shown["accounts"]] == ["Ada"]


def test_program_keeps_every_answered_account_when_it_is_killed(tmp_path: Path) -> None:
    with process(tmp_path / "a") as (first, said):
        address = f"{said.rpartition(' ')[2]}v2/Users"
        for number in range(5):
            body = {"schemas": [USER], "userName": f"m{number}"}
            requests.post(address, json=body, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=5)
        first.kill()
    kept = [json.loads(line) for line in (tmp_path / "a").read_bytes().splitlines()]
    assert [line["saved"]["userName"] for line in kept] == [f"m{number}" for number in range(5)]


def test_program_names_a_port_that_is_taken(platform: RunningPlatform, tmp_path: Path) -> None:
    port = platform.server.server_port
    with process(tmp_path / "b", port) as (refused, _):
        assert refused.wait(timeout=10) == 1
        assert refused.communicate()[1] == f"Training platform: port {port} cannot be used: Address already in use\n"
