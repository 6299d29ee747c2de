"""Fetch the institutions' lists of cards by themselves, with the same rules as an upload, and behind a fuse.

A list is taken in whole or not at all; one that takes away unusually much is not taken, and the one in force stays. It
is fetched into a file of its own first, outside any transaction, so that nothing is ever read half.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import IO, Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from enrollment import history, roster_uploading
from enrollment.models import Enrollment, Event, Letter
from libraries import fuse, roster_places, rosters, scoping
from libraries.models import Card, Institution, Roster, RosterEntry, RosterSource, User

logger = logging.getLogger(__name__)

Role = scoping.Role

# Longer than a download and the import of the longest list.
LEASE = timedelta(minutes=20)
# Each night; what went wrong is tried again in the same night.
_EVERY, _AGAIN = timedelta(hours=20), timedelta(minutes=50)


class NotYours(Exception):
    """Only operators say where a list is fetched from, and take one after all."""


class _TakesTooMuch(Exception):
    """`reason` is shrunk or cards_gone; then how much there was, and how much of it is left or gone."""

    def __init__(self, reason: str, before: int, figure: int) -> None:
        super().__init__(reason)
        self.reason, self.before, self.figure = reason, before, figure


def fetch_due(*, now: Callable[[], datetime]) -> int:
    """Try every source that has not been tried tonight, or in vain some time ago; say how many lists were taken."""
    tonight = Q(tried_at=None) | Q(tried_at__lte=now() - _EVERY)
    in_vain = ~Q(trouble="") & Q(tried_at__lte=now() - _AGAIN)
    due = sources().filter(tonight | in_vain | ~Q(allowed_fingerprint=""))
    return sum(fetch(pk, now=now) for pk in list(due.order_by("pk").values_list("pk", flat=True)))


def sources() -> QuerySet[RosterSource]:
    """Those of institutions that check cards with a list."""
    return RosterSource.objects.filter(institution__card_check=Institution.CardCheck.ROSTER)


def fetch(source_id: int, *, now: Callable[[], datetime], again: bool = False) -> bool:
    """Fetch a list and take it in unless it is the one in force, or one that is not to be taken; says whether it was.
    The source goes before an upload by hand: that one stays until the next night only.
    `again`: also when it is the one in force. Whoever finds another worker at it leaves it."""
    free = Q(lease_until=None) | Q(lease_until__lte=now())
    mine = RosterSource.objects.filter(free, pk=source_id)
    if not mine.update(lease_until=now() + LEASE, tried_at=now()):
        return False
    source = RosterSource.objects.select_related("institution", "roster").get(pk=source_id)
    taken, trouble = False, ""
    try:
        with tempfile.TemporaryFile() as file:
            taken = _fetch(source, file, now, again=again)
    except roster_places.NotFetched as failed:
        trouble = failed.trouble.value
    except rosters.RosterRefused as refused:
        trouble = f"{refused.code}:{refused.line}"
    except Exception as error:  # only its kind: a database's message may quote a row
        trouble = f"error:{type(error).__name__}"[:50]
        logger.error("roster source %s: %s", source_id, trouble)
    RosterSource.objects.filter(pk=source_id).update(lease_until=None, trouble=trouble)
    return taken


def trouble_in_words(trouble: str) -> str:
    if trouble in roster_places.Trouble.values:
        return str(roster_places.Trouble(trouble).label)
    code, _colon, line = trouble.partition(":")
    return rosters.RosterRefused(code, line=int(line)).message if line.isdecimal() else trouble


@transaction.atomic
def save(source: RosterSource, *, by: User, now: datetime, fields: Collection[str] | None = None) -> None:
    """A new source, or these fields of one; nothing else in it is touched. Raises NotYours."""
    if not scoping.may(by, Role.OPERATOR):
        raise NotYours
    source.save(update_fields=fields)
    institution_id = source.institution_id
    history.record(Event.Kind.SYSTEM_CHANGED, now=now, by=by, institution_id=institution_id, reason="roster_source")


@transaction.atomic
def allow(*, source_id: int, by: User, now: datetime) -> bool:
    """Take the list that was stopped after all, the next time it is fetched; another one is judged anew. Says whether
    one was stopped. Raises NotYours."""
    if not scoping.may(by, Role.OPERATOR):
        raise NotYours
    stopped = RosterSource.objects.filter(pk=source_id, stopped_at__isnull=False)
    source = stopped.select_for_update(no_key=True).first()
    if source is None:
        return False
    stopped.update(stopped_at=None, stopped_fingerprint="", allowed_fingerprint=source.stopped_fingerprint)
    history.record(Event.Kind.ROSTER_ALLOWED, now=now, by=by, institution_id=source.institution_id)
    return True


def _fetch(source: RosterSource, file: IO[bytes], now: Callable[[], datetime], *, again: bool) -> bool:
    _copy(source, file, now=now())
    file.seek(0)
    fingerprint = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    if fingerprint == source.fingerprint and _is_in_force(source) and not again:
        _settle(source, fingerprint, source.roster, now=now())
        return False
    if fingerprint == source.stopped_fingerprint:
        return False
    file.seek(0)
    try:
        _take_in(source, file, fingerprint, now=now())
    except _TakesTooMuch as much:
        _stop(source, fingerprint, much, now=now())
        return False
    return True


def _copy(source: RosterSource, file: IO[bytes], *, now: datetime) -> None:
    to: Any = file
    most = settings.ROSTER_MAX_BYTES
    if source.way == RosterSource.Way.FOLDER:
        folder, slug = settings.ROSTER_FOLDER, source.institution.slug
        roster_places.copy_from_folder(folder, slug, to, max_bytes=most, now=now)
        return
    roster_places.copy_from_address(
        source.address,
        to,
        login=source.login,
        secret_name=source.secret_name,
        private=settings.ALLOW_PRIVATE_ADDRESSES,
        max_bytes=most,
    )


def _is_in_force(source: RosterSource) -> bool:
    """Whether the list that it made last is the institution's latest, with second facts of the kind asked for now."""
    latest = _latest(source.institution)
    return latest is not None and latest == source.roster and latest.second_fact == source.institution.second_fact


def _latest(institution: Institution) -> Roster | None:
    return Roster.objects.filter(institution=institution).order_by("-pk").first()


@transaction.atomic
def _take_in(source: RosterSource, file: Any, fingerprint: str, *, now: datetime) -> None:
    """Raises _TakesTooMuch, after which all is as before."""
    institution = source.institution
    latest, listed = _latest(institution), _listed_in_use(institution, now)
    report = roster_uploading.take_in(institution=institution, source=file, by=None, now=now, dry_run=False)
    if fingerprint != source.allowed_fingerprint:
        before = latest.accepted if latest else 0
        if fuse.has_shrunk(before=before, after=report.accepted):
            raise _TakesTooMuch("shrunk", before, report.accepted)
        gone = set(listed) - set(_listed_in_use(institution, now))
        if fuse.is_unusual(bad=len(gone), of=len(listed)):
            raise _TakesTooMuch("cards_gone", len(listed), len(gone))
    _settle(source, fingerprint, report.roster, now=now)


def _settle(source: RosterSource, fingerprint: str, roster: Roster | None, *, now: datetime) -> None:
    """This list is in force; one that was stopped before does not matter any more."""
    RosterSource.objects.filter(pk=source.pk).update(
        fetched_at=now,
        fingerprint=fingerprint,
        roster=roster,
        stopped_at=None,
        stopped_fingerprint="",
        allowed_fingerprint="",
    )


def _listed_in_use(institution: Institution, now: datetime) -> Collection[int]:
    """The proved cards that carry an application and stand on the list, valid today."""
    listed = RosterEntry.objects.filter(institution=institution, number=OuterRef("number"))
    valid = listed.filter(Q(valid_until=None) | Q(valid_until__gte=timezone.localdate(now)))
    carrying = Enrollment.objects.open().filter(card=OuterRef("pk"))
    proved = Card.objects.filter(institution=institution, state=Card.State.CONFIRMED)
    return list(proved.filter(Exists(carrying), Exists(valid)).values_list("pk", flat=True))


@transaction.atomic
def _stop(source: RosterSource, fingerprint: str, much: _TakesTooMuch, *, now: datetime) -> None:
    """Told once, until a list is taken or allowed again."""
    sources = RosterSource.objects.filter(pk=source.pk)
    is_news = sources.filter(stopped_at=None).exists()
    sources.update(stopped_at=source.stopped_at or now, stopped_fingerprint=fingerprint, allowed_fingerprint="")
    history.record(
        Event.Kind.ROSTER_STOPPED,
        now=now,
        institution_id=source.institution_id,
        reason=much.reason,
        old_value=much.before,
        new_value=much.figure,
    )
    if is_news:
        people = scoping.staff_with(Role.OPERATOR) or scoping.staff_with(Role.COORDINATOR)
        kind = Letter.Kind.ROSTER_STOPPED
        Letter.objects.owe_to_staff(kind, people, now=now, institution_id=source.institution_id)
