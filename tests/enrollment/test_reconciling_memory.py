"""A long list takes no more memory than a short one: it is written down a part at a time."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta
from uuid import UUID

import pytest

from catalog import reaching
from catalog.provider.client import Account, Page
from enrollment import reconciling
from enrollment.models import Reconciliation
from tests.factories import NOW, make_provider

pytestmark = pytest.mark.django_db
PART = 200


class LongList:
    """A provider with so many accounts that nobody here made, which are only there while they are sent."""

    has_list = True

    def __init__(self, parts: int) -> None:
        self.parts = parts

    def page(self, after: str | None) -> Page:
        number = int(after or 0)
        accounts = [_account(number * PART + place) for place in range(PART)]
        return Page(accounts, str(number + 1) if number + 1 < self.parts else None, self.parts * PART)


def _account(number: int) -> Account:
    return Account(str(number), str(UUID(int=number)), f"m{number}@example.test", "Ada", "Peeters", "nl", active=True)


def peak_of(parts: int, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(reaching, "client_of", lambda provider, **settings: LongList(parts))
    now = NOW + timedelta(hours=parts)
    run = reconciling.ask(provider_id=make_provider().pk, by=None, now=now)
    assert run is not None
    tracemalloc.start()
    try:
        assert reconciling.compare_next(secret_of=str, now=lambda: now)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert Reconciliation.objects.get(pk=run.pk).listed == parts * PART
    return peak


def test_memory_does_not_grow_with_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    peak_of(2, monkeypatch)  # what is loaded once
    assert peak_of(30, monkeypatch) < 2 * peak_of(3, monkeypatch)
