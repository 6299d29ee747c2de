"""Where the portal may connect to, read as somebody would who wants it to connect elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from time import monotonic, sleep

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outgoing import addresses
from outgoing.addresses import CannotConnect, Obstacle, connect, is_allowed, resolve

PUBLIC = ["8.8.8.8", "185.11.116.1", "2a02:2c40::1", "2001:4860:4860::8888"]
PRIVATE = ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.10", "100.64.0.1", "127.0.0.1", "127.9.9.9", "::1"]
PRIVATE += ["fd12:3456::1", "fc00::1"]
NEVER = {
    "metadata": "169.254.169.254",
    "metadata of containers": "169.254.170.2",
    "metadata in a shared range": "100.100.100.200",
    "metadata at a public address": "168.63.129.16",
    "metadata among protocol addresses": "192.0.0.192",
    "metadata in IPv6": "fd00:ec2::254",
    "other metadata in IPv6": "fd20:ce::254",
    "metadata in a private IPv6 range": "fd00:42::42",
    "link-local": "169.254.1.1",
    "link-local in IPv6": "fe80::1",
    "link-local with a scope": "fe80::1%eth0",
    "site-local": "fec0::1",
    "any address of this machine": "0.0.0.0",
    "any address of this machine in IPv6": "::",
    "this network": "0.1.2.3",
    "multicast": "224.0.0.1",
    "multicast in IPv6": "ff02::1",
    "broadcast": "255.255.255.255",
    "reserved": "240.0.0.1",
    "reserved in IPv6": "4000::1",
    "protocol assignments": "192.0.0.8",
    "examples": "192.0.2.1",
    "examples in IPv6": "2001:db8::1",
    "measurements": "198.18.0.1",
    "discarded": "100::1",
    "translation within a network": "64:ff9b:1::a00:1",
    "mapped metadata": "::ffff:169.254.169.254",
    "compatible metadata": "::169.254.169.254",
    "compatible loopback": "::127.0.0.1",
    "stateless translation": "::ffff:0:10.0.0.1",
    "translated metadata": "64:ff9b::a9fe:a9fe",
    "6to4 metadata": "2002:a9fe:a9fe::1",
}
# The client of a Teredo address stands in its last 32 bits, every bit turned round.
TEREDO = {
    inner: str(IPv6Address(int(IPv6Address("2001:0:808:808::")) | (int(ip_address(inner)) ^ 0xFFFFFFFF)))
    for inner in ("10.0.0.1", "169.254.169.254")
}
IN_IPV6 = {"mapped": "::ffff:{}", "translated": "64:ff9b::{}"}


def soon(seconds: float = 1.0) -> float:
    return monotonic() + seconds


def obstacle(host: str, port: int = 443, *, private: bool = False, seconds: float = 1.0) -> Obstacle:
    with pytest.raises(CannotConnect) as refusal:
        connect(host, port, private=private, ends_at=soon(seconds)).close()
    assert str(refusal.value) == refusal.value.obstacle.value
    return refusal.value.obstacle


@contextmanager
def listening(host: str = "127.0.0.1") -> Iterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        yield listener.getsockname()[1]


def answering(*answers: list[str]) -> tuple[Callable[..., object], list[str]]:
    """A resolver that gives one answer after another, and the names it was asked for."""
    left, asked = iter(answers), list[str]()

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        return [(None, None, None, "", (address, port)) for address in next(left)]

    return getaddrinfo, asked


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("private", [True, False])
def test_public_address_is_allowed(address: str, private: bool) -> None:
    assert is_allowed(address, private=private)


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_is_allowed_where_the_operator_allows_it(address: str) -> None:
    assert (is_allowed(address, private=True), is_allowed(address, private=False)) == (True, False)


@pytest.mark.parametrize("address", NEVER.values(), ids=NEVER.keys())
@pytest.mark.parametrize("private", [True, False])
def test_address_of_nobody_and_of_the_machine_itself_is_never_allowed(address: str, private: bool) -> None:
    assert not is_allowed(address, private=private)


@pytest.mark.parametrize("form", IN_IPV6.values(), ids=IN_IPV6.keys())
@pytest.mark.parametrize("inner", ["8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "192.0.2.1"])
@pytest.mark.parametrize("private", [True, False])
def test_address_within_an_address_counts(form: str, inner: str, private: bool) -> None:
    assert is_allowed(form.format(inner), private=private) == is_allowed(inner, private=private)


def test_tunneled_address_counts_as_the_one_within() -> None:
    assert [is_allowed(TEREDO[inner], private=False) for inner in TEREDO] == [False, False]
    assert not is_allowed("2002:a00:1::1", private=False)
    assert not is_allowed(TEREDO["169.254.169.254"], private=True)


@given(st.ip_addresses())
def test_what_is_allowed_without_private_networks_is_public(address: object) -> None:
    ip = ip_address(str(address))
    if is_allowed(str(ip), private=False):
        inside = addresses._inner(ip)
        nobodys = (inside.is_private, inside.is_loopback, inside.is_link_local, inside.is_multicast)
        assert (inside.is_global, any(nobodys)) == (True, False)


@given(st.ip_addresses(network="169.254.0.0/16") | st.ip_addresses(network="fe80::/10"))
def test_link_local_address_is_never_allowed(address: object) -> None:
    assert not is_allowed(str(address), private=True)


@pytest.mark.parametrize(
    "spelling",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "１２７.0.0.1",
        "localhost",
    ],
)
def test_every_spelling_of_an_address_is_the_address(spelling: str) -> None:
    assert obstacle(spelling) == Obstacle.FORBIDDEN
    with listening() as port:
        connect(spelling, port, private=True, ends_at=soon()).close()


@pytest.mark.parametrize("spelling", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"])
def test_every_spelling_of_the_metadata_address_is_forbidden(spelling: str) -> None:
    assert obstacle(spelling, private=True) == Obstacle.FORBIDDEN


@pytest.mark.parametrize("host", ["::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:7f00:1"])
def test_ipv6_address_of_this_machine_is_forbidden(host: str) -> None:
    assert obstacle(host) == Obstacle.FORBIDDEN


def test_ipv6_address_is_connected_to() -> None:
    with listening("::1") as port:
        connect("::1", port, private=True, ends_at=soon()).close()


def test_scope_changes_nothing() -> None:
    assert obstacle("fe80::1%lo", private=True) == Obstacle.FORBIDDEN


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "127.0.0.1 ",
        "127.0.0.1\0.library.example",
        "127.0.0.1\r\n",
        "127.0.0.1:6001",
        "127.0.0.1/path",
        "127.0.0.1#library.example",
        "lin:secret@127.0.0.1",
        "library.example@127.0.0.1",
        "library.example\\127.0.0.1",
        "[::1]",
        "https://127.0.0.1",
        "a..b",
        "." * 3,
        "x" * 64 + ".example",
        "x" * 300,
        "127.0.0.1%lo",
    ],
)
def test_what_is_no_name_is_unusable(host: str) -> None:
    assert obstacle(host, private=True) == Obstacle.UNUSABLE


@pytest.mark.parametrize("port", [-1, 0, 65536, 65536 + 25, 2**40])
def test_port_that_does_not_exist_is_unusable(port: int) -> None:
    """The operating system would count on from 0."""
    assert obstacle("127.0.0.1", port, private=True) == Obstacle.UNUSABLE


def test_name_that_does_not_exist_is_told() -> None:
    assert obstacle("nowhere.invalid") == Obstacle.NAME_UNKNOWN


def test_one_forbidden_address_among_several_forbids_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    getaddrinfo, _ = answering(["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["8.8.8.8", "169.254.169.254"])
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert obstacle("both.example") == Obstacle.FORBIDDEN
    assert resolve("both.example", 443, private=True, ends_at=soon()) == ["8.8.8.8", "10.0.0.1"]
    assert obstacle("both.example", private=True) == Obstacle.FORBIDDEN


def test_name_is_resolved_once_and_what_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is checked, and this machine when it is connected to."""
    getaddrinfo, asked = answering(["8.8.8.8"], ["127.0.0.1"])
    tried = []

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    assert obstacle("rebinding.example") == Obstacle.REFUSED
    assert (asked, tried) == (["rebinding.example"], [("8.8.8.8", 443)])


def test_same_address_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    getaddrinfo, _ = answering(["8.8.8.8", "8.8.8.8"])
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert resolve("twice.example", 443, private=False, ends_at=soon()) == ["8.8.8.8"]


def test_next_address_is_tried_where_the_first_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves time for the next, too."""
    tried: list[float] = []

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        tried.append(round(timeout, 1))
        if address[0] == "8.8.8.8":
            raise TimeoutError
        return socket.socket()

    getaddrinfo, _ = answering(["8.8.8.8", "8.8.4.4"])
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "create_connection", create_connection)
    connect("two.example", 443, private=False, ends_at=soon(1.0)).close()
    assert tried == [0.5, 1.0]


def test_closed_port_is_refused() -> None:
    with listening() as port:
        pass
    assert obstacle("127.0.0.1", port, private=True) == Obstacle.REFUSED


def test_connection_that_is_never_accepted_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        began = monotonic()
        assert obstacle("127.0.0.1", port, private=True, seconds=0.2) == Obstacle.TIMED_OUT
        assert monotonic() - began < 1.0
        for client in waiting:
            client.close()


def test_slow_resolver_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[object]:
        sleep(0.5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    began = monotonic()
    assert obstacle("slow.example", seconds=0.1) == Obstacle.TIMED_OUT
    assert monotonic() - began < 0.4


def test_no_time_left_means_no_connection() -> None:
    with listening() as port:
        assert obstacle("127.0.0.1", port, private=True, seconds=-1) == Obstacle.TIMED_OUT
