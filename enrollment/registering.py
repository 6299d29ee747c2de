"""Courses that were picked at a provider become courses here: known ones are found again, others are made."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, models, transaction
from django.utils.text import slugify
from django.utils.translation import gettext_lazy as _

from catalog.models import Course
from enrollment import history
from enrollment.launch.picked_items import Item
from enrollment.models import Event, Picking
from libraries import scoping
from libraries.models import StaffRole, User

PICKED = "picked"
_LONGEST_SLUG = 110
Role = StaffRole.Role


class Match(models.TextChoices):
    """How an item of the provider is one of our courses; the surest first."""

    CODE = "code", _("the same code")
    ADDRESS = "address", _("the same address")
    TITLE = "title", _("the same title")


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("Only coordinators and operators do this.")
    DONE = "done", _("This choice was worked on already. Pick the courses again to change more.")
    CODE_TAKEN = "code_taken", _("Another course of this provider has this code.")
    INCOMPLETE = "incomplete", _("Of a new course everything has to be filled in.")
    CHANGED = "changed", _("Somebody else is at work there. Try again in a minute.")


class Refused(Exception):
    """Nothing was changed; `number` is the row it is about, where it is about one."""

    def __init__(self, obstacle: Obstacle, number: int | None = None) -> None:
        super().__init__(obstacle)
        self.obstacle, self.number = obstacle, number


@dataclass(frozen=True)
class Row:
    """One item that was picked; `course` is None for one that is not known. `is_same`: it starts like that already."""

    number: int
    item: Item
    course: Course | None
    match: Match | None
    is_same: bool


@dataclass(frozen=True)
class New:
    """A course to be made."""

    code: str
    title: str
    area_id: int
    language: str
    level: str
    hours: int


@dataclass(frozen=True)
class Done:
    changed: int
    made: int


def plan(picking: Picking) -> Sequence[Row]:
    """In the order of the provider, each course once; with one query. The tool must be loaded."""
    courses = list(Course.objects.filter(provider_id=picking.tool.provider_id).order_by("pk"))
    taken: set[int] = set()
    rows = []
    for number, item in enumerate(_each_once(picking.items)):
        course, match = _known(item, [each for each in courses if each.pk not in taken])
        if course is not None:
            taken.add(course.pk)
        same = course is not None and (course.launch_url, course.launch_custom) == (item["url"], item["custom"])
        rows.append(Row(number, item, course, match, same))
    return rows


def apply(picking_id: int, *, change: Collection[int], make: Mapping[int, New], by: User, now: datetime) -> Done:
    """Of the rows with these numbers: known courses start at the picked address from now on, others are made. Raises
    Refused."""
    if not scoping.may(by, Role.COORDINATOR, Role.OPERATOR):
        raise Refused(Obstacle.NOT_YOURS)
    try:
        return _apply(picking_id, change, make, by, now)
    except IntegrityError:  # somebody has made one of them meanwhile
        raise Refused(Obstacle.CHANGED) from None


@transaction.atomic
def _apply(picking_id: int, change: Collection[int], make: Mapping[int, New], by: User, now: datetime) -> Done:
    picking = Picking.objects.select_for_update(of=("self",), no_key=True).select_related("tool").get(pk=picking_id)
    if picking.applied_at is not None:
        raise Refused(Obstacle.DONE)
    rows = plan(picking)
    known = [_changed(row) for row in rows if row.course and row.number in change and not row.is_same]
    new = [(row, make[row.number]) for row in rows if row.course is None and row.number in make]
    _check(new, picking.tool.provider_id)
    Course.objects.bulk_update(known, ["launch_url", "launch_custom"])
    Course.objects.bulk_create(_made(new, picking.tool.provider_id))
    picking.applied_at = now
    picking.save(update_fields=["applied_at"])
    if known or new:
        kind, provider_id = Event.Kind.COURSES_IMPORTED, picking.tool.provider_id
        history.record(
            kind, now=now, by=by, provider_id=provider_id, reason=PICKED, old_value=len(known), new_value=len(new)
        )
    return Done(len(known), len(new))


def _each_once(items: Iterable[Item]) -> list[Item]:
    """Some tools send a course twice."""
    once: list[Item] = []
    for item in items:
        if item not in once:
            once.append(item)
    return once


def _known(item: Item, courses: Sequence[Course]) -> tuple[Course | None, Match | None]:
    same = {
        Match.CODE: [each for each in courses if item["code"] and _plain(each.code) == _plain(item["code"])],
        Match.ADDRESS: [
            each
            for each in courses
            if (item["url"] or item["custom"])
            and (each.launch_url, each.launch_custom) == (item["url"], item["custom"])
        ],
        Match.TITLE: [each for each in courses if item["title"] and _plain(each.title) == _plain(item["title"])],
    }
    return next(((found[0], match) for match, found in same.items() if len(found) == 1), (None, None))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _changed(row: Row) -> Course:
    assert row.course is not None
    row.course.launch_url, row.course.launch_custom = row.item["url"], row.item["custom"]
    return row.course


def _check(new: Sequence[tuple[Row, New]], provider_id: int) -> None:
    codes = set(Course.objects.filter(provider_id=provider_id).values_list("code", flat=True)) if new else set()
    for row, course in new:
        if not (course.code.strip() and course.title.strip() and course.hours > 0):
            raise Refused(Obstacle.INCOMPLETE, row.number)
        if course.code in codes:
            raise Refused(Obstacle.CODE_TAKEN, row.number)
        codes.add(course.code)


def _made(new: Sequence[tuple[Row, New]], provider_id: int) -> list[Course]:
    slugs = set(Course.objects.values_list("slug", flat=True)) if new else set()
    made = []
    for row, course in new:
        slug = _free_slug(course.title, slugs)
        slugs.add(slug)
        described = {f"description_{course.language}": row.item["text"]}
        address = {"launch_url": row.item["url"], "launch_custom": row.item["custom"]}
        made.append(Course(provider_id=provider_id, slug=slug, **vars(course), **described, **address))
    return made


def _free_slug(title: str, taken: Collection[str]) -> str:
    name = slugify(title)[:_LONGEST_SLUG].strip("-") or "course"
    number = 1
    while (slug := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return slug
