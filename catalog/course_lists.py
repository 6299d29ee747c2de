"""Take in a provider's list of courses: what is new, changed, the same and gone, and then the same in the database.

Nothing is ever deleted: a course that is gone at the provider stays, with what members did in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.text import slugify

from catalog.course_files import Contents, Fault, Rejection, Row, plain
from catalog.models import Area, Course, Provider

# What a list may say of a course, and so may change; never the slug, which is in addresses.
FIELDS = (
    *("title", "area_id", "language", "level", "hours", "launch_url"),
    *("description_nl", "description_fr", "description_en"),
)
_BATCH = 1000


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """Of new titles, where the list does not say: None leaves such a title out."""

    area_id: int | None = None
    language: str | None = None
    level: str | None = None
    hours: int | None = None


@dataclass(frozen=True)
class Comparison:
    """A list beside what is known of its provider's courses. `changed`: each with the names of the fields. `gone`: not
    on the list. `fingerprint` is the same as long as all this is."""

    new: Sequence[Course]
    changed: Sequence[tuple[Course, Sequence[str]]]
    same: int
    gone: Sequence[Course]
    rejected: Sequence[Rejection]
    fingerprint: str

    @property
    def does_something(self) -> bool:
        return bool(self.new or self.changed)


def compare(provider: Provider, contents: Contents, defaults: Defaults) -> Comparison:
    """With three queries, however long the list is; changes nothing."""
    known = {course.code: course for course in Course.objects.filter(provider=provider).order_by("title", "pk")}
    areas, slugs = _areas(), set(Course.objects.values_list("slug", flat=True))
    new: list[Course] = []
    changed: list[tuple[Course, Sequence[str]]] = []
    rejected = list(contents.rejected)
    for row in contents.rows:
        course = known.get(row.code)
        told = _told(row, course, areas, defaults)
        if isinstance(told, Fault):
            rejected.append((row.line, told.value))
        elif course is None:
            new.append(Course(provider=provider, code=row.code, slug=_slug(row, slugs), **told))
        elif fields := [name for name, value in told.items() if getattr(course, name) != value]:
            for name in fields:
                setattr(course, name, told[name])
            changed.append((course, fields))
    listed = {row.code for row in contents.rows}
    gone = [course for code, course in known.items() if code not in listed]
    same = len(contents.rows) - len(new) - len(changed) - (len(rejected) - len(contents.rejected))
    told_all = [[getattr(course, name) for name in ("code", *FIELDS)] for course in (*new, *(c for c, _f in changed))]
    fingerprint = hashlib.sha256(repr((provider.pk, told_all)).encode()).hexdigest()[:16]
    return Comparison(new, changed, same, gone, sorted(rejected), fingerprint)


def take_in(comparison: Comparison) -> None:
    """What was compared under the lock of the provider's row (`lock`); in two statements for each thousand courses."""
    Course.objects.bulk_create(
        [*comparison.new, *(course for course, _fields in comparison.changed)],
        batch_size=_BATCH,
        update_conflicts=True,
        unique_fields=["provider", "code"],
        update_fields=[name.removesuffix("_id") for name in FIELDS],
    )


def lock(provider_id: int) -> Provider:
    """Two imports for one provider follow each other."""
    return Provider.objects.select_for_update(no_key=True).get(pk=provider_id)


def _areas() -> dict[str, int]:
    """By slug, and by name in any language; of two that are called alike, the slug tells, then the first."""
    areas = list(Area.objects.all())
    names = {plain(name): area.pk for area in reversed(areas) for name in (area.name_nl, area.name_fr, area.name_en)}
    return names | {plain(area.slug): area.pk for area in areas}


def _told(
    row: Row, course: Course | None, areas: Mapping[str, int], defaults: Defaults
) -> dict[str, str | int] | Fault:
    """What the list says, and of a new title what was chosen for those."""
    told: dict[str, str | int | None] = {"title": row.title}
    if row.area is not None:
        if plain(row.area) not in areas:
            return Fault.UNKNOWN_AREA
        told["area_id"] = areas[plain(row.area)]
    told |= {"language": row.language, "level": row.level, "hours": row.hours, "launch_url": row.launch_url}
    if course is None:
        told |= {name: value for name, value in vars(defaults).items() if told.get(name) is None}
        for name, fault in _MISSING:
            if told.get(name) is None:
                return fault
    language = told["language"] or (course.language if course else "")
    told |= {f"description_{code or language}": text for code, text in row.descriptions.items()}
    return {name: value for name, value in told.items() if value is not None}


_MISSING = (
    ("area_id", Fault.NO_AREA),
    ("language", Fault.NO_LANGUAGE),
    ("level", Fault.NO_LEVEL),
    ("hours", Fault.NO_HOURS),
)


def _slug(row: Row, taken: set[str]) -> str:
    """Of the title, or else with the code, or else with a number; and taken from now on."""
    title, code = slugify(row.title)[:100].strip("-"), slugify(row.code)
    wishes = [title, f"{title}-{code}"[:115].strip("-")] if title else [code or "course"]
    numbered = (f"{wishes[0][:110]}-{number}" for number in range(2, len(taken) + 3))
    found = next(slug for slug in (*wishes, *numbered) if slug not in taken)
    taken.add(found)
    return found
