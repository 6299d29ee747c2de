"""The letter about a list that is not trusted: complete in three languages, and not sent when it is over."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import translation

from enrollment import drafts
from enrollment.models import Letter, ProviderAccount, Reconciliation
from libraries.models import StaffRole, User
from tests.factories import NOW, make_provider, make_staff, make_user
from tests.letters import check_complete

pytestmark = pytest.mark.django_db


@pytest.fixture
def oz() -> User:
    return make_staff("oz@example.test", StaffRole.Role.OPERATOR, language="en")


@pytest.fixture
def letter(oz: User) -> Letter:
    provider = make_provider()
    ProviderAccount.objects.create(
        user=make_user("zeldzame.kanarie@example.test"), provider=provider, must_be_active=True
    )
    Reconciliation.objects.create(
        provider=provider, asked_at=NOW, finished_at=NOW, listed=1200, ours=1100, doubt="shrunk"
    )
    Letter.objects.owe_to_staff(Letter.Kind.LISTS_DISAGREE, [oz.pk], now=NOW, provider_id=provider.pk, reason="shrunk")
    return Letter.objects.get()


@pytest.mark.parametrize("doubt", Reconciliation.Doubt.values)
@pytest.mark.parametrize("language", ["en", "nl", "fr"])
def test_letter_says_why_and_leads_to_the_comparison(letter: Letter, doubt: str, language: str) -> None:
    Reconciliation.objects.update(doubt=doubt)
    text = check_complete(
        letter, language, page=f"admin/enrollment/reconciliation/{Reconciliation.objects.get().pk}/change"
    )
    assert "SkillsTown" in text
    assert "kanarie" not in text
    with translation.override(language):
        assert str(Reconciliation.Doubt(doubt).label) in text


def test_letter_tells_how_many_were_ours_on_the_last_trusted_list(letter: Letter) -> None:
    Reconciliation.objects.update(finished_at=NOW - timedelta(days=1), ours=1346, doubt="")
    doubted = Reconciliation.objects.create(provider=make_provider(), asked_at=NOW, finished_at=NOW, doubt="shrunk")
    text = check_complete(letter, "en", page=f"admin/enrollment/reconciliation/{doubted.pk}/change")
    assert "Ours on the last trusted list" in text
    assert "1,346" in text


def test_letter_is_not_sent_once_the_list_is_trusted(letter: Letter, oz: User) -> None:
    Reconciliation.objects.update(trusted_by=oz)
    assert drafts.compose(letter) is None


def test_letter_is_not_sent_once_a_newer_list_was_compared(letter: Letter) -> None:
    later = NOW + timedelta(hours=1)
    Reconciliation.objects.create(provider=make_provider(), asked_at=later, finished_at=later)
    assert drafts.compose(letter) is None


def test_letter_is_not_sent_to_who_follows_the_providers_no_more(letter: Letter) -> None:
    StaffRole.objects.all().delete()
    assert drafts.compose(Letter.objects.get()) is None
