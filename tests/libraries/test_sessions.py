"""Sessions of a person end, and what others' sessions hold of them is taken out; nothing else is touched."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session

from libraries import sessions

pytestmark = pytest.mark.django_db

TEXTS = {"ada@example.test", "Ada Peeters", "2100", ""}


def keep(**data: Any) -> str:
    store = SessionStore()
    store.update(data)
    store.create()
    assert store.session_key is not None
    return store.session_key


def left(key: str) -> dict[str, Any] | None:
    store = SessionStore(key)
    return dict(store.load()) if Session.objects.filter(pk=key).exists() else None


def test_sessions_of_the_person_end_and_others_go_on() -> None:
    mine, other, nobody = keep(**{SESSION_KEY: "7"}), keep(**{SESSION_KEY: "77"}), keep(language="nl")
    sessions.forget(user_ids=[7], texts=TEXTS)
    assert [left(key) for key in (mine, other, nobody)] == [None, {SESSION_KEY: "77"}, {"language": "nl"}]


@pytest.mark.parametrize(
    "text", ["ada@example.test", "ADA@Example.test", "ada  PEETERS", "2100", "21 00", "x: 2100, y"]
)
def test_what_others_hold_of_the_person_is_taken_out(text: str) -> None:
    key, visitor = keep(**{SESSION_KEY: "8"}, search=[text, "until"], other="stays"), keep(waits={"for": text})
    sessions.forget(user_ids=[7], texts=TEXTS)
    assert (left(key), left(visitor)) == ({SESSION_KEY: "8", "other": "stays"}, None)


@pytest.mark.parametrize("value", [{"at": 21001764.5}, "12100", "2100a", "Lada Peetersen", "ada", ["until", 3]])
def test_what_only_looks_alike_stays(value: Any) -> None:
    key = keep(**{SESSION_KEY: "8"}, value=value)
    sessions.forget(user_ids=[7], texts=TEXTS)
    assert left(key) == {SESSION_KEY: "8", "value": value}


def test_without_any_text_only_the_persons_own_end() -> None:
    key = keep(**{SESSION_KEY: "8"}, value="")
    sessions.forget(user_ids=[7], texts=[])
    assert left(key) == {SESSION_KEY: "8", "value": ""}


def test_session_that_is_written_meanwhile_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """By whoever is at work with it: what they had before is not left in it, and what they have now is kept."""
    key = keep(**{SESSION_KEY: "8"}, search="2100")
    real, turns = SessionStore.encode, iter([True])

    def encode(self: SessionStore, data: dict[str, Any]) -> str:
        if next(turns, False):
            work = SessionStore(key)
            work["since"] = "stays"
            work.save()
        return str(real(self, data))

    monkeypatch.setattr(SessionStore, "encode", encode)
    sessions.forget(user_ids=[7], texts=TEXTS)
    assert left(key) == {SESSION_KEY: "8", "since": "stays"}
