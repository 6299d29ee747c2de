"""What the tests of erasures share: a list of their own, a person with everything, and providers that obey."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core import mail

from enrollment import erasing, letters
from enrollment.models import Erasure, ProviderAccount
from tests.factories import NOW

LATER = NOW + timedelta(days=3)


@pytest.fixture
def erasures(tmp_path: Path, settings: LazySettings) -> Path:
    """The list, empty."""
    path = tmp_path / "erasures"
    path.touch()
    settings.ERASURE_LIST = str(path)
    return path


def send_letters(at: datetime = LATER) -> list[str]:
    """The subjects of what left."""
    before = len(mail.outbox)
    while letters.send_next(now=lambda: at):
        pass
    return [str(sent.subject) for sent in mail.outbox[before:]]


def erase_here(at: datetime = LATER) -> Erasure:
    """The letter leaves, and the sweep comes."""
    send_letters(at)
    assert erasing.erase_due(now=at) >= 1
    return Erasure.objects.latest("asked_at")


def providers_obey(at: datetime = LATER) -> int:
    """As provisioning leaves an account that the provider has no more."""
    owed = ProviderAccount.objects.filter(must_be_erased=True, erased_at=None)
    return owed.update(seen="absent", seen_at=at, erased_at=at, due_at=None, remote_id="", lease_token=None)
