"""Who has had priority: every line with its reason, and no member's name."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils.translation import override

from catalog.models import Programme
from enrollment import ending, prioritizing
from enrollment.models import Enrollment
from enrollment.prioritizing import Reason
from enrollment.reports.priorities import Period, Total, priorities, table, totals
from enrollment.reports.spreadsheets import cell, to_csv
from libraries.models import User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
JULY = Period(date(2026, 7, 1), date(2026, 7, 31))


@pytest.fixture(autouse=True)
def _english() -> Any:
    with override("en"):
        yield


@pytest.fixture
def lin() -> User:
    make_library("permeke", make_institution("antwerpen"))
    make_library("halle", make_institution("halle"))
    return make_librarian(make_institution("antwerpen"), first_name="Lin", last_name="Claes")


@pytest.fixture
def mo(lin: User) -> User:
    return make_coordinator(first_name="Mo", last_name="Diallo")


@pytest.fixture
def programme(mo: User) -> Programme:
    return make_programme(cap=0)


def wait(programme: Programme, name: str, slug: str = "antwerpen") -> Enrollment:
    library = make_institution(slug).libraries.get()
    return make_member(f"{name}@example.test", programme=programme, library=library, now=NOW - 90 * DAY)


def give(row: Enrollment, by: User, *, days: int = 0, reason: Reason = Reason.FOR_WORK, words: str = "Soon") -> None:
    prioritizing.give(enrollment_id=row.pk, reason=reason, words=words, by=by, now=NOW + days * DAY)


def take(row: Enrollment, by: User, *, days: int) -> None:
    prioritizing.take_back(enrollment_id=row.pk, words="Not any more", by=by, now=NOW + days * DAY)


def test_line_says_why_who_and_when(programme: Programme, lin: User, mo: User) -> None:
    ada = wait(programme, "ada")
    give(ada, lin)
    take(ada, mo, days=2)
    [line] = priorities(mo, JULY)
    assert (line.application, line.programme, line.institution) == (ada.pk, "Leerkaart", "Antwerpen")
    assert (line.reason, line.words) == (str(Reason.FOR_WORK.label), "Soon")
    assert (line.given_at, line.given_by, line.taken_at, line.taken_by) == (
        NOW,
        "Lin Claes",
        NOW + 2 * DAY,
        "Mo Diallo",
    )
    assert (line.why_taken, line.state) == ("Not any more", "in the queue")


def test_priority_given_twice_is_two_lines(programme: Programme, mo: User) -> None:
    ada = wait(programme, "ada")
    give(ada, mo)
    take(ada, mo, days=2)
    give(ada, mo, days=4)
    assert [(line.given_at, line.taken_at) for line in priorities(mo, JULY)] == [
        (NOW + 4 * DAY, None),
        (NOW, NOW + 2 * DAY),
    ]


def test_period_holds_whoever_still_had_it(programme: Programme, mo: User) -> None:
    """Given before the period counts when it was not over by then; both days are in it."""
    still, taken, left, after = (wait(programme, name) for name in ("still", "taken", "left", "after"))
    for row in (still, taken, left):
        give(row, mo, days=-40)
    take(taken, mo, days=-10)
    ending.give_back(enrollment_id=left.pk, by=left.user, now=NOW - 10 * DAY)
    give(after, mo, days=29)
    assert [line.application for line in priorities(mo, JULY)] == [still.pk]
    assert [line.application for line in priorities(mo, Period(date(2026, 7, 1), date(2026, 8, 1)))] == [
        after.pk,
        still.pk,
    ]
    june = priorities(mo, Period(date(2026, 6, 23), date(2026, 6, 23)))
    assert sorted(line.application for line in june) == [still.pk, taken.pk, left.pk]


def test_programme_can_be_chosen(programme: Programme, mo: User) -> None:
    other = make_programme("tweede", cap=0, name="Tweede")
    for each in (programme, other):
        give(wait(each, each.slug), mo)
    assert [line.programme for line in priorities(mo, JULY, programme_id=other.pk)] == ["Tweede"]
    assert len(priorities(mo, JULY)) == 2


def test_librarian_sees_only_the_own_institution(programme: Programme, lin: User, mo: User) -> None:
    give(wait(programme, "ada"), mo)
    give(wait(programme, "cy", "halle"), mo)
    assert [line.institution for line in priorities(lin, JULY)] == ["Antwerpen"]
    assert [line.institution for line in priorities(mo, JULY)] == ["Halle", "Antwerpen"]


def test_totals_are_by_institution_and_reason(programme: Programme, mo: User) -> None:
    give(wait(programme, "a"), mo)
    give(wait(programme, "b"), mo)
    give(wait(programme, "c"), mo, reason=Reason.OUR_MISTAKE)
    give(wait(programme, "d", "halle"), mo)
    assert totals(priorities(mo, JULY)) == [
        Total("Antwerpen", str(Reason.OUR_MISTAKE.label), 1),
        Total("Antwerpen", str(Reason.FOR_WORK.label), 2),
        Total("Halle", str(Reason.FOR_WORK.label), 1),
    ]


def test_report_costs_the_same_however_many_there_are(
    programme: Programme, mo: User, django_assert_num_queries: Any
) -> None:
    give(wait(programme, "a"), mo)
    priorities(mo, JULY)
    with django_assert_num_queries(6):
        priorities(mo, JULY)
    for name in "bcd":
        give(wait(programme, name), mo)
    with django_assert_num_queries(6):
        assert len(priorities(mo, JULY)) == 4


# --- For a spreadsheet ---


@pytest.mark.parametrize("beginning", ["=", "+", "-", "@", "\t", "\r"])
def test_cell_that_begins_a_formula_is_text(beginning: str) -> None:
    assert cell(f"{beginning}1+1") == f"'{beginning}1+1"


def test_other_cells_stay_as_they_are() -> None:
    assert [cell(each) for each in ("a=1", " =1", 7, None, "")] == ["a=1", " =1", "7", "", ""]


def test_file_is_marked_as_utf_8_and_quotes_what_it_must() -> None:
    assert to_csv([["é", 'a;"b"']]) == b'\xef\xbb\xbf\xc3\xa9;"a;""b"""\r\n'


def test_table_names_no_member(programme: Programme, mo: User) -> None:
    ada = wait(programme, "ada")
    give(ada, mo, words="=HYPERLINK(1)")
    head, line = table(priorities(mo, JULY))
    assert len(head) == len(line) == 11
    text = to_csv([head, line]).decode()
    assert "'=HYPERLINK(1)" in text
    assert f"{ada.pk};Leerkaart;Antwerpen;" in text
    for personal in ("Peeters", "ada@example.test", ada.card.number):
        assert personal not in text
