"""The keys of a tool that stand at an address of its own: kept, asked for again now and then, and never for ever."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from catalog.models import Tool
from enrollment.launch import addresses, tool_keys
from enrollment.launch.tool_keys import Flaw, NotBelieved
from tests.catalog.provider.odd_server import OddServer, odd_server
from tests.tools import ask_for_token, claims, make_tool, public_jwk, rsa_key, signed

pytestmark = pytest.mark.django_db
NOW = timezone.now


@dataclass
class Shown:
    """What the tool shows at the address of its keys."""

    server: OddServer | None = None
    keys: list[Any] = field(default_factory=lambda: [public_jwk()])
    raw: bytes | None = None

    def talk(self, connection: socket.socket) -> None:
        body = json.dumps({"keys": self.keys}).encode()
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
        connection.sendall(whole if self.raw is None else self.raw)

    @property
    def asked(self) -> int:
        assert self.server is not None
        return len(self.server.requests)


@pytest.fixture
def shown() -> Iterator[Shown]:
    cache.clear()
    shown = Shown()
    with odd_server(shown.talk) as server:
        shown.server = server
        yield shown


@pytest.fixture
def tool(shown: Shown) -> Tool:
    assert shown.server is not None
    return make_tool(keyset=None, keyset_url=f"{shown.server.base_url}/keys.json")


def verify(tool: Tool, token: str, later: timedelta = timedelta(0)) -> str:
    """What is wrong with it, or nothing."""
    try:
        tool_keys.verify(tool, token, audience=addresses.token(), now=timezone.now() + later)
    except NotBelieved as error:
        return error.flaw.name
    return ""


def test_keys_are_asked_for_once_for_some_minutes(tool: Tool, shown: Shown) -> None:
    assert [verify(tool, signed(claims())) for _ in range(3)] == ["", "", ""]
    assert shown.asked == 1


def test_new_key_is_found_although_the_old_ones_are_kept(tool: Tool, shown: Shown) -> None:
    verify(tool, signed(claims()))
    shown.keys.append(public_jwk("new", kid="key-2"))
    assert verify(tool, signed(claims(), key=rsa_key("new"), kid="key-2")) == ""
    assert shown.asked == 2


def test_unknown_keys_make_nobody_ask_more_than_once_a_minute(tool: Tool, shown: Shown) -> None:
    verify(tool, signed(claims()))
    assert {verify(tool, signed(claims(), kid=f"none-{n}")) for n in range(5)} == {"UNKNOWN_KEY"}
    assert shown.asked == 2


def test_keys_are_asked_for_again_after_some_minutes(tool: Tool, shown: Shown) -> None:
    verify(tool, signed(claims()))
    shown.keys = [public_jwk("new", kid="key-2")]
    later = timedelta(minutes=11)
    soon = int((timezone.now() + later).timestamp())
    token = signed(claims(iat=soon, exp=soon + 60))
    assert verify(tool, token, later) == "UNKNOWN_KEY"  # a key that was taken back is believed no longer
    assert shown.asked == 2


def test_tool_that_does_not_answer_is_believed_by_its_last_keys(tool: Tool, shown: Shown) -> None:
    verify(tool, signed(claims()))
    shown.raw = b""
    later = timedelta(minutes=11)
    soon = int((timezone.now() + later).timestamp())
    assert verify(tool, signed(claims(iat=soon, exp=soon + 60)), later) == ""


ODD: dict[str, bytes] = {
    "nothing": b"",
    "an error": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
    "no JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "no keys": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
    "deep": b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + b"[" * 90_000,
    "too much": b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b" " * 300_000,
}


@pytest.mark.parametrize("name", ODD)
def test_keys_that_cannot_be_had(name: str, tool: Tool, shown: Shown) -> None:
    shown.raw = ODD[name]
    assert verify(tool, signed(claims())) == "KEYS_UNREACHABLE"
    answer = ask_for_token()
    assert (answer.status_code, answer["Retry-After"]) == (503, "60")
    assert shown.asked == 1  # it is left alone for a while


def test_private_networks_are_not_asked_where_they_may_not_be(tool: Tool, shown: Shown, settings: Any) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    assert verify(tool, signed(claims())) == "KEYS_UNREACHABLE"
    assert shown.asked == 0


ODD_KEYS: dict[str, list[Any]] = {
    "none": [],
    "no objects": [None, 7, "key", []],
    "no number": [{"kty": "RSA", "kid": "key-1"}],
    "no kind": [{name: value for name, value in public_jwk().items() if name != "kty"}],
    "a secret": [{"kty": "oct", "kid": "key-1", "k": "c2VjcmV0"}],
    "to encrypt": [public_jwk(use="enc")],
    "twice": [public_jwk(), public_jwk()],
    "odd numbers": [public_jwk(n="!!", e="AQAB")],
    "a number that is none": [public_jwk(n=7)],
    "a tiny one": [public_jwk(n="u1SU1L")],
}


@pytest.mark.parametrize("name", ODD_KEYS)
def test_keys_that_are_none(name: str) -> None:
    tool = make_tool(keyset={"keys": ODD_KEYS[name]})
    assert verify(tool, signed(claims())) in ("UNKNOWN_KEY", "SIGNATURE")


def test_private_part_that_was_published_is_left_there() -> None:
    tool = make_tool(keyset={"keys": [public_jwk(d="AQAB", p="AQAB")]})
    assert verify(tool, signed(claims())) == ""


def test_text_of_the_error_names_the_check_alone() -> None:
    with pytest.raises(NotBelieved, match="^UNREADABLE$") as error:
        tool_keys.issuer_of("canary")
    assert error.value.flaw == Flaw.UNREADABLE
