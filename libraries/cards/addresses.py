"""Addresses of library systems as people write them in the settings: what is wrong with one, before it is used."""

from __future__ import annotations

import re
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from outgoing.addresses import is_allowed

_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# The last part begins with a letter: what else the operating system would take for a number is an address in disguise.
_NAME = re.compile(rf"({_LABEL}\.)*(?=[A-Za-z]){_LABEL}\.?")
_LONGEST_NAME = 253
_PLAIN = re.compile(r"[!-~]+")


class Flaw(StrEnum):
    NOT_A_HOST = "not_a_host"
    NOT_A_SITE = "not_a_site"
    NOT_ENCRYPTED = "not_encrypted"
    CREDENTIALS = "credentials"
    QUERY = "query"
    FORBIDDEN = "forbidden"


def is_site(address: str) -> bool:
    """Whether it is meant as the address of a site (https://…), not as the name of a server."""
    return "://" in address


def flaw_of_host(address: str, *, private: bool) -> Flaw | None:
    """Of the name or the IP address of a server; `private` as in `outgoing.addresses`."""
    if not _is_ip(address):
        return None if _is_name(address) else Flaw.NOT_A_HOST
    return None if is_allowed(address, private=private) else Flaw.FORBIDDEN


def flaw_of_site(address: str, *, private: bool) -> Flaw | None:
    """Of the address of a site: https://, and http:// only where private networks may be asked."""
    parts = _parts(address)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return Flaw.NOT_A_SITE
    if parts.scheme == "http" and not private:
        return Flaw.NOT_ENCRYPTED
    if "@" in parts.netloc:
        return Flaw.CREDENTIALS
    if "?" in address or "#" in address:
        return Flaw.QUERY
    flaw = flaw_of_host(parts.hostname, private=private)
    return Flaw.NOT_A_SITE if flaw == Flaw.NOT_A_HOST else flaw


def _is_ip(address: str) -> bool:
    try:
        ip_address(address)
    except ValueError:
        return False
    return True


def _is_name(address: str) -> bool:
    return len(address) <= _LONGEST_NAME and _NAME.fullmatch(address) is not None


def _parts(address: str) -> SplitResult | None:
    """None where it cannot be read. Characters that cannot be seen, spaces and backslashes are no part of an address:
    not everybody reads them alike."""
    if not _PLAIN.fullmatch(address) or "\\" in address:
        return None
    try:
        parts = urlsplit(address)
        return parts if parts.port is None or parts.port > 0 else None
    except ValueError:
        return None
