"""The list of erasures: a file outside the database, to which lines are only added, so that a restore forgets none.

A line tells when the wish was made, the code of its certificate, and by keyed hashes whose it was. From the file alone
nobody can be known; whoever has the portal's key and a row of the database can tell whether that row is on it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

_SALT = "enrollment.erasure_list"
# As it stands in the address of a certificate.
_CODE = re.compile(r"[A-Za-z0-9_-]{1,40}")


class ListTrouble(Exception):
    """The list is not named, not there, or cannot be read or written; the text is the kind of error alone."""


@dataclass(frozen=True)
class Entry:
    """`under`: the name of the portal's key that its hashes were made with."""

    at: datetime
    code: str
    keys: Sequence[str]
    under: str = field(default="", compare=False)


@dataclass(frozen=True)
class Unreadable:
    """The number of a line that is none of ours."""

    line: int


def keys_of_person(pk: int, joined: datetime) -> list[str]:
    """Under every key that the portal has or had, the newest first. A restore brings back the row with the same number
    and the same moment; a newcomer who gets the number after a restore has another."""
    return _hashes("person", str(pk), joined.astimezone(UTC).isoformat(timespec="microseconds"))


def keys_of_account(external_id: UUID) -> list[str]:
    return _hashes("account", str(external_id))


def names_of_keys() -> list[str]:
    """By which a line tells that it was written under a key that the portal does not have; the newest first."""
    return [each[:16] for each in _hashes("name")]


def _hashes(*facts: str) -> list[str]:
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    text = "\0".join(facts)
    return [salted_hmac(_SALT, text, secret=secret, algorithm="sha256").hexdigest() for secret in secrets]


def append(entry: Entry) -> None:
    """On the disk when it returns. One line of one process at a time; what an earlier one left half is closed first.
    The file has to be there: a new one in its place would hide that a disk is missing. Raises ListTrouble."""
    at = entry.at.astimezone(UTC).isoformat()
    told = {"at": at, "code": entry.code, "under": names_of_keys()[0], "keys": list(entry.keys)}
    try:
        file = os.open(_path(), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            line = _rest_of_line(file) + json.dumps(told).encode() + b"\n"
            if os.write(file, line) != len(line):
                raise OSError("the disk is full")
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise ListTrouble(type(error).__name__) from None


def _rest_of_line(file: int) -> bytes:
    size = os.fstat(file).st_size
    return b"\n" if size and os.pread(file, 1, size - 1) != b"\n" else b""


def check() -> None:
    """Whether lines could be added now; adds none. Raises ListTrouble."""
    try:
        os.close(os.open(_path(), os.O_RDWR | os.O_APPEND | os.O_CLOEXEC))
    except OSError as error:
        raise ListTrouble(type(error).__name__) from None


def read() -> Iterator[Entry | Unreadable]:
    """Raises ListTrouble."""
    try:
        with open(_path(), encoding="utf-8", errors="replace") as file:
            yield from (_parsed(number, line) for number, line in enumerate(file, 1) if line.strip())
    except OSError as error:
        raise ListTrouble(type(error).__name__) from None


def _parsed(number: int, line: str) -> Entry | Unreadable:
    try:
        told = json.loads(line)
        at, code, under, keys = datetime.fromisoformat(told["at"]), told["code"], told["under"], told["keys"]
        known = at.tzinfo and _CODE.fullmatch(code) and all(isinstance(each, str) for each in [under, *keys])
    except (ValueError, LookupError, TypeError, RecursionError):
        return Unreadable(number)
    return Entry(at, code, keys, under) if known and isinstance(keys, list) else Unreadable(number)


def _path() -> str:
    if not settings.ERASURE_LIST:
        raise ListTrouble("not set")
    return str(settings.ERASURE_LIST)
