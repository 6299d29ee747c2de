"""What sessions hold of people: sessions do not say whose they are, so that all of them are looked through."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

_AT_ONCE = 500


def forget(*, user_ids: Collection[int], texts: Collection[str]) -> None:
    """End the sessions of these people, and those in which nobody is signed in that hold one of these texts, as when a
    code is waited for. From others' sessions, as of a librarian who looked for the person, that part is taken out; one
    that is written meanwhile is looked at again."""
    ids, mark = {str(pk) for pk in user_ids}, _mark(texts)
    for row in Session.objects.iterator(chunk_size=_AT_ONCE):
        found: Session | None = row
        while found is not None and not _forget(found, ids, mark):
            found = Session.objects.filter(pk=row.pk).first()


def _forget(row: Session, ids: Collection[str], mark: re.Pattern[str]) -> bool:
    """Says whether the row is as it must be."""
    store = SessionStore()
    data = store.decode(row.session_data)
    kept = {name: value for name, value in data.items() if not mark.search(_plain(repr(value)))}
    if _is_of(data, ids) or (kept != data and SESSION_KEY not in data):
        Session.objects.filter(pk=row.pk).delete()
    elif kept != data:
        same = Session.objects.filter(pk=row.pk, session_data=row.session_data)
        return bool(same.update(session_data=store.encode(kept)))
    return True


def _is_of(data: dict[str, Any], ids: Collection[str]) -> bool:
    return str(data.get(SESSION_KEY, "")) in ids


def _mark(texts: Collection[str]) -> re.Pattern[str]:
    """As whole words: a short number is not meant within a longer one."""
    words = "|".join(re.escape(_plain(text)) for text in texts if text)
    return re.compile(rf"(?<![0-9a-z])(?:{words})(?![0-9a-z])" if words else r"(?!)")


def _plain(text: str) -> str:
    """However it was spelled and spaced."""
    return "".join(text.casefold().split())
