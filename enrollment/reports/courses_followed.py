"""How each course is followed: how many started and finished it, and how far half of them are; nobody by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Aggregate, Case, Count, F, FloatField, Q, Value, When
from django.utils.translation import gettext as _

from enrollment.models import CourseRun
from libraries import scoping
from libraries.models import User

# Below this a librarian, who knows the people, might see who it is.
FEWEST = 5


class _Median(Aggregate):
    """Of what is known; nothing where nothing is."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True)
class Followed:
    """A number is None where it is too small to be shown. `percent`, the median, also where the provider told nothing.

    `hides` says whether anything was left out.
    """

    programme: str
    course: str
    code: str
    started: int | None
    finished: int | None
    percent: int | None
    hides: bool


def courses_followed(by: User, *, programme_id: int | None = None) -> list[Followed]:
    """In the programmes that are seen by this person, or in one; of the members of their institutions only, where they
    have some. Of small numbers these are told no more than that. With one query (and one for the roles)."""
    ids = scoping.institutions_of(by)
    runs = CourseRun.objects.started()
    if ids is not None:
        runs = runs.filter(enrollment__share__institution_id__in=ids)
    if programme_id is not None:
        runs = runs.filter(enrollment__pool__programme=programme_id)
    done = Q(completed_at__isnull=False)
    reached = Case(When(done, then=Value(1.0)), default=F("progress"), output_field=FloatField())
    grouped = runs.values("enrollment__pool__programme__name", "course__title", "course__code", "course_id").annotate(
        started=Count("pk"), finished=Count("pk", filter=done), told=Count(reached), median=_Median(reached)
    )
    ordered = grouped.order_by("enrollment__pool__programme__name", "-started", "course__title", "course_id")
    return [_row(each, masked=ids is not None) for each in ordered.iterator()]


def _row(found: dict[str, object], *, masked: bool) -> Followed:
    counts = [int(str(found[name])) for name in ("started", "finished", "told")]
    started, finished, told = (None if masked and 0 < each < FEWEST else each for each in counts)
    median = found["median"]
    return Followed(
        programme=str(found["enrollment__pool__programme__name"]),
        course=str(found["course__title"]),
        code=str(found["course__code"]),
        started=started,
        finished=None if started is None else finished,
        percent=round(float(str(median)) * 100) if told and median is not None else None,
        hides=None in (started, finished, told),
    )


def table(found: Iterable[Followed]) -> list[Sequence[object]]:
    """For a spreadsheet, with a line of headings."""
    few = _("fewer than %(number)d") % {"number": FEWEST}
    heads = (_("Programme"), _("Course"), _("Code"), _("Started"), _("Finished"), _("Progress in % (median)"))
    return [heads, *(_cells(each, few) for each in found)]


def _cells(row: Followed, few: str) -> Sequence[object]:
    started, finished = (few if each is None else each for each in (row.started, row.finished))
    return (row.programme, row.course, row.code, started, finished, row.percent)
