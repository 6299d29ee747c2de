"""Looks for texts that must be nowhere: in the database, the broker, the logs, the mails and reports of errors."""

from __future__ import annotations

import base64
import binascii
import logging
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import redis
from django.conf import LazySettings, settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import connection
from django.utils.log import AdminEmailHandler

_PACKED = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
Place = tuple[str, str]


@dataclass
class Watch:
    """What was said while it lasted, beside what is kept; `reports` are mailed as for a site in use."""

    caplog: pytest.LogCaptureFixture
    pages: list[str] = field(default_factory=list)

    def found(self, canaries: Iterable[str]) -> list[str]:
        """Where, and which; packed values (of sessions, of the cache, of tasks) are unpacked first."""
        places = [*in_the_database(), *in_the_broker(), *in_mails(), *self._in_logs(), *self._in_pages()]
        places += [(f"{where}, packed", unpacked(text)) for where, text in places]
        return sorted({f"{where}: {canary}" for where, text in places for canary in canaries if canary in text})

    def reports(self) -> list[str]:
        return [str(sent.subject) for sent in mail.outbox if sent.to == ["ops@example.test"]]

    def _in_logs(self) -> Iterator[Place]:
        yield "log", self.caplog.text
        yield from (("log", repr(record.args)) for record in self.caplog.records)

    def _in_pages(self) -> Iterator[Place]:
        yield from (("page", page) for page in self.pages)


@contextmanager
def watching(caplog: pytest.LogCaptureFixture, settings: LazySettings) -> Iterator[Watch]:
    """Everything is logged, and errors are mailed twice: by the framework's own handler, and with HTML."""
    settings.ADMINS = [("Ops", "ops@example.test")]
    caplog.set_level(logging.DEBUG)
    mailing, logger = AdminEmailHandler(include_html=True), logging.getLogger("django.request")
    mailing.setLevel(logging.ERROR)
    logger.addHandler(mailing)
    try:
        yield Watch(caplog)
    finally:
        logger.removeHandler(mailing)


def in_the_database() -> Iterator[Place]:
    """Every column of every row of every table."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT kept::text FROM {connection.ops.quote_name(table)} kept")
            yield from ((table, row) for (row,) in cursor.fetchall())


def in_the_broker() -> Iterator[Place]:
    broker = redis.Redis.from_url(settings.REDIS_URL)
    with broker:
        for key in broker.scan_iter():
            yield f"broker {key!r}", f"{key!r} {_kept_in(broker, key)!r}"


def _kept_in(broker: redis.Redis, key: bytes) -> object:
    match broker.type(key):
        case b"list":
            return broker.lrange(key, 0, -1)
        case b"hash":
            return broker.hgetall(key)
        case b"set":
            return broker.smembers(key)
        case b"zset":
            return broker.zrange(key, 0, -1, withscores=True)
    return broker.get(key)


def in_mails() -> Iterator[Place]:
    for sent in mail.outbox:
        where = "report" if sent.to == ["ops@example.test"] else "letter"
        yield where, f"{sent.subject}\n{sent.body}"
        if isinstance(sent, EmailMultiAlternatives):
            yield from ((f"{where} (HTML)", str(content)) for content, _mime in sent.alternatives)


def unpacked(text: str) -> str:
    """What stands in it as base64, compressed or not."""
    return "\n".join(each for token in _PACKED.findall(text) for each in _unpack(token.rstrip("=")))


def _unpack(token: str) -> Iterator[str]:
    try:
        data = base64.urlsafe_b64decode(token.replace("+", "-").replace("/", "_") + "=" * (-len(token) % 4))
    except binascii.Error:
        return
    yield data.decode("utf-8", errors="ignore")
    try:
        yield zlib.decompress(data).decode("utf-8", errors="ignore")
    except zlib.error:
        return
