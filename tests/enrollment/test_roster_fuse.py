"""A fetched list that takes away unusually much is not taken: the one before stays in force, and operators are told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pytest_django import Settings

from enrollment import roster_fetching
from enrollment.models import Event, Letter
from libraries.models import Card, Institution, Roster, RosterEntry, RosterSource, StaffRole, User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_programme,
    make_staff,
)
from tests.letters import check_complete
from tests.rechecks import Clock, make_proved
from tests.rosters import fetch_tonight, lay_list, numbers

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.ROSTER_FOLDER = str(tmp_path)
    return tmp_path


@pytest.fixture
def institution() -> Institution:
    return make_institution(card_check="roster", second_fact="last_name")


@pytest.fixture
def source(institution: Institution, folder: Path) -> RosterSource:
    return RosterSource.objects.create(institution=institution)


@pytest.fixture
def una() -> User:
    return make_staff("una@example.test", StaffRole.Role.OPERATOR)


@pytest.fixture
def night() -> Clock:
    return Clock(NOW)


def fresh(source: RosterSource) -> RosterSource:
    return RosterSource.objects.get(pk=source.pk)


def kinds() -> list[str]:
    return list(Event.objects.filter(kind__startswith="roster").order_by("pk").values_list("kind", flat=True))


@pytest.fixture
def in_use(institution: Institution) -> list[Card]:
    """20 proved cards that people use."""
    library = make_library(institution=institution)
    return make_proved(20, library=library, pool=make_programme(cap=0).pool)


def test_list_without_unusually_many_cards_in_use_is_not_taken(
    source: RosterSource, folder: Path, night: Clock, in_use: list[Card], una: User
) -> None:
    lay_list(folder, numbers(20), night)
    fetch_tonight(night)
    lay_list(folder, [*numbers(10), *numbers(10, 500)], night)
    assert fetch_tonight(night) == 0
    stopped = fresh(source)
    assert (stopped.stopped_at, stopped.trouble) == (NOW + DAY, "")
    assert RosterEntry.objects.filter(number__lt="230000020").count() == 20
    assert (Roster.objects.count(), kinds()) == (1, ["roster_imported", "roster_stopped"])
    event = Event.objects.latest("pk")
    assert (event.reason, event.old_value, event.new_value) == ("cards_gone", 20, 10)
    assert list(Letter.objects.values_list("kind", "user_id")) == [("roster_stopped", una.pk)]


def test_cards_whose_last_day_on_the_list_is_over_are_gone_too(
    source: RosterSource, folder: Path, night: Clock, in_use: list[Card]
) -> None:
    lay_list(folder, numbers(20), night)
    fetch_tonight(night)
    past = "\n".join(["number;valid_until", *(f"2300{number:05};2020-01-01" for number in range(20)), ""])
    lay_list(folder, past.encode(), night)
    assert (fetch_tonight(night), fresh(source).stopped_at) == (0, NOW + DAY)


def test_usual_loss_is_taken(source: RosterSource, folder: Path, night: Clock, in_use: list[Card]) -> None:
    lay_list(folder, numbers(20), night)
    fetch_tonight(night)
    lay_list(folder, numbers(20, 9), night)
    assert (fetch_tonight(night), fresh(source).stopped_at) == (1, None)


@pytest.mark.parametrize(("left", "taken"), [(450, 1), (449, 0)])
def test_list_that_is_much_shorter_is_not_taken(
    left: int, taken: int, source: RosterSource, folder: Path, night: Clock
) -> None:
    lay_list(folder, numbers(500), night)
    fetch_tonight(night)
    lay_list(folder, numbers(left), night)
    assert fetch_tonight(night) == taken
    assert RosterEntry.objects.count() == (left if taken else 500)
    if not taken:
        event = Event.objects.latest("pk")
        assert (event.reason, event.old_value, event.new_value) == ("shrunk", 500, left)


def test_short_list_may_become_shorter(source: RosterSource, folder: Path, night: Clock) -> None:
    lay_list(folder, numbers(60), night)
    fetch_tonight(night)
    lay_list(folder, numbers(11), night)
    assert fetch_tonight(night) == 1


def test_stopped_list_is_told_once_and_left_until_another_comes(
    source: RosterSource, folder: Path, night: Clock, una: User
) -> None:
    lay_list(folder, numbers(100), night)
    fetch_tonight(night)
    for left in (10, 10, 9):
        lay_list(folder, numbers(left), night)
        fetch_tonight(night)
    assert (fresh(source).stopped_at, Letter.objects.count()) == (NOW + DAY, 1)
    assert kinds() == ["roster_imported", "roster_stopped", "roster_stopped"]
    lay_list(folder, numbers(99), night)
    assert (fetch_tonight(night), fresh(source).stopped_at) == (1, None)


def test_list_before_comes_back_by_itself(source: RosterSource, folder: Path, night: Clock) -> None:
    for count in (100, 10, 100):
        lay_list(folder, numbers(count), night)
        fetch_tonight(night)
    assert (fresh(source).stopped_at, Roster.objects.count()) == (None, 1)


def test_operator_takes_it_after_all(source: RosterSource, folder: Path, night: Clock, una: User) -> None:
    for count in (100, 10):
        lay_list(folder, numbers(count), night)
        fetch_tonight(night)
    assert [roster_fetching.allow(source_id=source.pk, by=una, now=night()) for _ in range(2)] == [True, False]
    night.now -= DAY  # at once
    assert fetch_tonight(night) == 1
    assert (RosterEntry.objects.count(), fresh(source).allowed_fingerprint) == (10, "")
    assert kinds() == ["roster_imported", "roster_stopped", "roster_allowed", "roster_imported"]


def test_what_is_allowed_is_that_one_list(source: RosterSource, folder: Path, night: Clock, una: User) -> None:
    for count in (100, 10):
        lay_list(folder, numbers(count), night)
        fetch_tonight(night)
    roster_fetching.allow(source_id=source.pk, by=una, now=night())
    lay_list(folder, numbers(5), night)
    assert (fetch_tonight(night), RosterEntry.objects.count()) == (0, 100)
    assert fresh(source).stopped_at is not None


def test_only_operators_allow_it(source: RosterSource, folder: Path, night: Clock) -> None:
    for someone in (make_librarian(source.institution), make_coordinator()):
        with pytest.raises(roster_fetching.NotYours):
            roster_fetching.allow(source_id=source.pk, by=someone, now=NOW)


@pytest.mark.parametrize("language", ["en", "nl", "fr"])
@pytest.mark.parametrize("why", ["shrunk", "cards_gone"])
def test_letter_says_what_there_is_to_do(
    why: str, language: str, source: RosterSource, folder: Path, night: Clock, una: User, in_use: list[Card]
) -> None:
    for lines in (numbers(100), numbers(50) if why == "shrunk" else [*numbers(5), *numbers(95, 500)]):
        lay_list(folder, lines, night)
        fetch_tonight(night)
    text = check_complete(Letter.objects.get(), language, page=f"admin/libraries/rostersource/{source.pk}/change")
    if language == "en":
        figures = "has 50 lines; the one before had 100" if why == "shrunk" else "15 of 20 proved cards"
        assert figures in text
