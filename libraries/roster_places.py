"""Where a list of cards lies: in the watched folder, or at an address. It is copied into an open file, whole or not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import BinaryIO

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from libraries.secrets import find_secret
from outgoing.http import RequestFailed, download

# Nobody has written to a file for so long: it is complete. One that is moved here under its name is complete at once,
# if it was written before that.
STILL_FOR = timedelta(minutes=1)
DOWNLOAD_SECONDS = 300.0
_CHUNK = 1024 * 1024


class Trouble(TextChoices):
    """Why a list was not fetched."""

    NO_FOLDER = "no_folder", _("No folder of lists is set (ROSTER_FOLDER).")
    NO_FILE = "no_file", _("There is no file with the short name of the institution and .csv.")
    NOT_A_FILE = "not_a_file", _("What has that name is no plain file, but a link or something else.")
    UNREADABLE = "unreadable", _("The file may not be read.")
    NOT_COMPLETE = "not_complete", _("The file is still being written, or its date lies in the future.")
    TOO_BIG = "too_big", _("The file is too big.")
    SECRET_MISSING = "secret_missing", _("The secret that is named is not there.")
    ADDRESS_UNUSABLE = "address_unusable", _("The address cannot be used.")
    ADDRESS_FORBIDDEN = "address_forbidden", _("The address leads into a network that may not be asked.")
    NAME_UNKNOWN = "name_unknown", _("No server is known by that name.")
    REFUSED = "refused", _("The server does not take connections.")
    TIMED_OUT = "timed_out", _("The server did not answer in time.")
    CLOSED = "closed", _("The connection broke.")
    TLS_EXPIRED = "tls_expired", _("The certificate of the server has expired.")
    TLS_OTHER_NAME = "tls_other_name", _("The certificate of the server is for another name.")
    TLS_UNTRUSTED = "tls_untrusted", _("The certificate of the server is signed by nobody we trust.")
    TLS_FAILED = "tls_failed", _("No encrypted connection could be made.")
    GARBLED = "garbled", _("The answer makes no sense, or does not say where it ends.")
    TOO_LARGE = "too_large", _("The file is too big.")
    REDIRECTED = "redirected", _("The server sends us to another address.")
    LOGIN_REFUSED = "login_refused", _("The server does not accept our name and password.")
    NOT_FOUND = "not_found", _("There is nothing at this address.")
    SYSTEM_ERROR = "system_error", _("Something went wrong at the server.")


class NotFetched(Exception):
    """Holds neither an address nor a path."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


def copy_from_folder(folder: str, slug: str, to: BinaryIO, *, max_bytes: int, now: datetime) -> None:
    """The institution's file of the watched folder. Raises NotFetched; some may be written by then."""
    if not folder:
        raise NotFetched(Trouble.NO_FOLDER)
    with _opened(folder, f"{slug}.csv") as file:
        before = os.fstat(file)
        if not stat.S_ISREG(before.st_mode):
            raise NotFetched(Trouble.NOT_A_FILE)
        if before.st_size > max_bytes:
            raise NotFetched(Trouble.TOO_BIG)
        if now.timestamp() - before.st_mtime < STILL_FOR.total_seconds():
            raise NotFetched(Trouble.NOT_COMPLETE)
        copied = 0
        # No further than it was long: a file that grows meanwhile never ends.
        while copied < before.st_size and (chunk := _read(file, min(_CHUNK, before.st_size - copied))):
            copied += len(chunk)
            to.write(chunk)
        after = os.fstat(file)
    if (copied, after.st_size, after.st_mtime_ns) != (before.st_size, before.st_size, before.st_mtime_ns):
        raise NotFetched(Trouble.NOT_COMPLETE)


@contextmanager
def _opened(folder: str, name: str) -> Iterator[int]:
    """No link is followed out of the folder, and nothing is waited for."""
    file = directory = None
    try:
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError as error:
        raise NotFetched(_why_not(directory is not None, name, directory, error)) from None
    else:
        yield file
    finally:
        for each in (file, directory):
            if each is not None:
                os.close(each)


def _why_not(has_folder: bool, name: str, directory: int | None, error: OSError) -> Trouble:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return Trouble.NO_FILE if has_folder else Trouble.NO_FOLDER
    if has_folder and stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return Trouble.NOT_A_FILE
    return Trouble.UNREADABLE


def _read(file: int, size: int) -> bytes:
    try:
        return os.read(file, size)
    except OSError:
        raise NotFetched(Trouble.UNREADABLE) from None


def copy_from_address(
    address: str, to: BinaryIO, *, login: str, secret_name: str, private: bool, max_bytes: int
) -> None:
    """Over HTTPS. Raises NotFetched; some may be written by then."""
    secret = find_secret(secret_name) if secret_name else ""
    if secret_name and not secret:
        raise NotFetched(Trouble.SECRET_MISSING)
    try:
        download(
            address,
            to,
            private=private,
            login=login,
            secret=secret,
            max_bytes=max_bytes,
            deadline=DOWNLOAD_SECONDS,
        )
    except RequestFailed as failed:
        raise NotFetched(Trouble(failed.code.value)) from None
