"""Where the portal may connect to: an address that a person typed must not lead it into the network it stands in."""

from __future__ import annotations

import re
import socket
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

Address = IPv4Address | IPv6Address

# What cloud machines ask for their own secrets; some stand in ranges that are otherwise private, or public.
_METADATA = frozenset(
    map(
        ip_address,
        (
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fd00:42::42",
        ),
    )
)
# IPv4 in the clothes of IPv6, and where in it: translation (RFC 6052).
_TRANSLATED = ip_network("64:ff9b::/96")
_SHARED = ip_network("100.64.0.0/10")
# Which of its addresses count as public differs between versions of Python; no library system stands there.
_PROTOCOLS = ip_network("192.0.0.0/24")
_PRIVATE = tuple(
    map(
        ip_network,
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "fc00::/7", "::1/128"),
    )
)
# The operating system cuts a name at a NUL, and counts ports above 65535 from 0 again.
_NAME = re.compile(r"[\w.-]{1,253}")


class Obstacle(StrEnum):
    UNUSABLE = "unusable"
    NAME_UNKNOWN = "name_unknown"
    FORBIDDEN = "forbidden"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"


class CannotConnect(OSError):
    """`obstacle` says why. The text names no address: it may be shown and logged."""

    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle.value)
        self.obstacle = obstacle


def is_allowed(address: str, *, private: bool) -> bool:
    """Whether the portal may connect to this IP address. `private`: also to private networks and this machine itself.

    Link-local, multicast, reserved and metadata addresses never; the IPv4 address inside an IPv6 one counts too.
    """
    ip = _inner(ip_address(address.partition("%")[0]))
    if ip in _METADATA or ip in _PROTOCOLS or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return False
    if isinstance(ip, IPv6Address) and ip.is_site_local:
        return False
    if ip.is_loopback or ip.is_private or ip in _SHARED:
        return private and not _is_nobodys(ip)
    return ip.is_global and not ip.is_reserved


def _inner(ip: Address) -> Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _TRANSLATED:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    teredo = ip.teredo
    return ip.ipv4_mapped or ip.sixtofour or (teredo[1] if teredo else ip)


def _is_nobodys(ip: Address) -> bool:
    """Reserved for examples, measurements and the like: no private network of anybody's."""
    return not any(ip in network for network in _PRIVATE)


def connect(host: str, port: int, *, private: bool, ends_at: float) -> socket.socket:
    """A TCP connection before `ends_at` (of `time.monotonic`). Raises CannotConnect.

    The name is resolved once, and the connection goes to what was checked: a name that answers differently the
    second time changes nothing. One forbidden address among several forbids the name. The addresses share the time,
    so that one that leads nowhere leaves some for the next.
    """
    trouble = CannotConnect(Obstacle.TIMED_OUT)
    addresses = resolve(host, port, private=private, ends_at=ends_at)
    for number, address in enumerate(addresses):
        left = ends_at - monotonic()
        if left <= 0:
            raise CannotConnect(Obstacle.TIMED_OUT)
        try:
            return socket.create_connection((address, port), timeout=left / (len(addresses) - number))
        except TimeoutError:
            trouble = CannotConnect(Obstacle.TIMED_OUT)
        except OSError:
            trouble = CannotConnect(Obstacle.REFUSED)
    raise trouble


def resolve(host: str, port: int, *, private: bool, ends_at: float) -> list[str]:
    """The IP addresses of a name, in the order to try them, all allowed. Raises CannotConnect."""
    if not (_is_name(host) and 1 <= port <= 65535):
        raise CannotConnect(Obstacle.UNUSABLE)
    addresses = _looked_up(host, port, ends_at)
    if not all(is_allowed(address, private=private) for address in addresses):
        raise CannotConnect(Obstacle.FORBIDDEN)
    return addresses


def _is_name(host: str) -> bool:
    """Or an IP address."""
    try:
        return bool(_NAME.fullmatch(host) or ip_address(host))
    except ValueError:
        return False


def _looked_up(host: str, port: int, ends_at: float) -> list[str]:
    """In a thread of its own: the resolver of the operating system knows no time limit."""
    answers: SimpleQueue[list[str] | Obstacle] = SimpleQueue()
    Thread(target=lambda: answers.put(_ask_resolver(host, port)), daemon=True).start()
    try:
        answer = answers.get(timeout=max(0.0, ends_at - monotonic()))
    except Empty:
        raise CannotConnect(Obstacle.TIMED_OUT) from None
    if isinstance(answer, Obstacle):
        raise CannotConnect(answer)
    return answer


def _ask_resolver(host: str, port: int) -> list[str] | Obstacle:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return Obstacle.NAME_UNKNOWN
    except (UnicodeError, ValueError, OSError, OverflowError):
        return Obstacle.UNUSABLE
    return list(dict.fromkeys(str(each[4][0]) for each in found)) or Obstacle.NAME_UNKNOWN
