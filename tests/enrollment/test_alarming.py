"""Operators hear once of what does not mend itself, and again only after it was over."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest

from catalog.models import Provider, ProviderLine
from enrollment import alarming, drafts
from enrollment.models import Letter, ProviderAccount
from libraries.models import StaffRole, User
from tests.factories import NOW, make_coordinator, make_provider, make_staff, make_user
from tests.letters import check_complete

pytestmark = pytest.mark.django_db
LATER = NOW + alarming.AFTER
AGAIN = LATER + timedelta(days=1)
Kind = Letter.Kind


@pytest.fixture
def oz() -> User:
    return make_staff("oz@example.test", StaffRole.Role.OPERATOR, language="en")


@pytest.fixture
def provider() -> Provider:
    return make_provider()


def get_stuck(provider: Provider, count: int, *, at: datetime = NOW, trouble: str = "name_taken") -> None:
    for number in range(count):
        user = make_user(f"{provider.slug}{number}.{at:%H%M}@example.test", first_name="Zeldzaam", last_name="Kanarie")
        ProviderAccount.objects.create(
            user=user, provider=provider, must_be_active=True, due_at=at, stuck_at=at, trouble=trouble
        )


def go_down(provider: Provider) -> None:
    line = {"down_since": NOW, "next_probe_at": NOW, "last_trouble": "unreachable"}
    ProviderLine.objects.update_or_create(provider=provider, defaults=line)


def told(now: datetime) -> list[tuple[str, str, int | None]]:
    before = list(Letter.objects.values_list("pk", flat=True))
    count = alarming.tell_operators(now=now)
    letters = Letter.objects.exclude(pk__in=before).order_by("pk").values_list("kind", "user__email", "provider_id")
    assert len(letters) == count
    return list(letters)


def test_what_is_stuck_for_a_quarter_of_an_hour_is_told_once(oz: User, provider: Provider) -> None:
    get_stuck(provider, 3)
    assert told(LATER - timedelta(seconds=1)) == []
    assert told(LATER) == [(Kind.ACCOUNTS_STUCK, oz.email, provider.pk)]
    get_stuck(provider, 1, at=LATER)
    assert told(AGAIN) == []


def test_it_is_told_again_after_nothing_was_stuck(oz: User, provider: Provider) -> None:
    get_stuck(provider, 1)
    assert len(told(LATER)) == 1
    ProviderAccount.objects.update(stuck_at=None)
    assert told(LATER) == []
    ProviderAccount.objects.update(stuck_at=LATER)
    assert told(LATER) == []
    assert len(told(AGAIN)) == 1


def test_each_provider_has_a_letter_of_its_own(oz: User, provider: Provider) -> None:
    other = make_provider("other", name="Other")
    get_stuck(provider, 2)
    get_stuck(other, 2)
    go_down(other)
    assert sorted(told(LATER)) == sorted(
        [
            (Kind.ACCOUNTS_STUCK, oz.email, provider.pk),
            (Kind.ACCOUNTS_STUCK, oz.email, other.pk),
            (Kind.PROVIDER_DOWN, oz.email, other.pk),
        ]
    )


def test_provider_that_is_down_is_told_once_each_time(oz: User, provider: Provider) -> None:
    go_down(provider)
    assert told(LATER - timedelta(seconds=1)) == []
    assert told(LATER) == [(Kind.PROVIDER_DOWN, oz.email, provider.pk)]
    assert told(AGAIN) == []
    ProviderLine.objects.update(down_since=None)
    assert told(AGAIN) == []
    ProviderLine.objects.update(down_since=NOW)
    assert told(AGAIN) == [(Kind.PROVIDER_DOWN, oz.email, provider.pk)]


def test_of_two_sweeps_that_found_the_same_one_tells(oz: User, provider: Provider) -> None:
    go_down(provider)
    tell = partial(alarming._tell, Kind.PROVIDER_DOWN, provider.pk, "down_told_at", [oz.pk], now=LATER)
    assert (tell(), tell()) == (1, 0)
    assert Letter.objects.count() == 1


def test_coordinators_are_told_where_there_are_no_operators(provider: Provider) -> None:
    get_stuck(provider, 1)
    assert told(LATER) == []
    mo = make_coordinator()
    assert told(LATER) == [(Kind.ACCOUNTS_STUCK, mo.email, provider.pk)]


def written(language: str, page: str) -> str:
    alarming.tell_operators(now=LATER)
    return check_complete(Letter.objects.get(), language, page=page)


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_about_stuck_accounts_tells_how_many_and_why_and_names_nobody(
    oz: User, provider: Provider, language: str
) -> None:
    get_stuck(provider, 2)
    get_stuck(provider, 1, at=NOW - timedelta(hours=1), trouble="limit_reached")
    text = written(language, "admin/enrollment/provideraccount")
    assert f"?stuck=yes&provider__id__exact={provider.pk}\n" in text
    assert [count for count in ("3", "(2)", "(1)") if count not in text] == []
    assert [word for word in ("Zeldzaam", "Kanarie", "@example") if word in text] == []


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_letter_about_a_provider_that_is_down_tells_what_waits(oz: User, provider: Provider, language: str) -> None:
    go_down(provider)
    get_stuck(provider, 2)
    ProviderAccount.objects.update(stuck_at=None)
    text = written(language, f"admin/catalog/provider/{provider.pk}/change")
    assert "2" in text


def test_letters_are_not_sent_once_it_is_over(oz: User, provider: Provider) -> None:
    get_stuck(provider, 1)
    go_down(provider)
    alarming.tell_operators(now=LATER)
    ProviderAccount.objects.update(stuck_at=None)
    ProviderLine.objects.update(down_since=None)
    assert [drafts.compose(letter) for letter in Letter.objects.all()] == [None, None]


def test_letter_is_not_sent_to_who_does_not_follow_the_providers_any_more(oz: User, provider: Provider) -> None:
    get_stuck(provider, 1)
    alarming.tell_operators(now=LATER)
    StaffRole.objects.all().delete()
    assert drafts.compose(Letter.objects.get()) is None
