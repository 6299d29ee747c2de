"""Take in a provider's list of courses, from a file or from its API, on record. The API is never asked inside a
transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog import course_files, course_lists, line
from catalog.course_files import LONGEST_DESCRIPTION, Contents
from catalog.course_lists import Comparison, Defaults
from catalog.models import Listing, Provider
from catalog.provider import registry
from catalog.provider.client import Connection, ListedCourse
from catalog.provider.errors import Refused as ProviderRefused
from enrollment import history, rotating, seats
from enrollment.models import Event
from libraries import limits, scoping
from libraries.models import User

# A list of a thousand courses with their descriptions is one answer.
MOST_BYTES, SECONDS = 20_000_000, 30.0
# By all together, of one provider.
CALLS, PERIOD = 6, timedelta(minutes=1)


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("Only coordinators and operators take in lists of courses.")
    TOO_OFTEN = "too_often", _("The provider was asked very often. Please wait a minute and try again.")
    NO_API = "no_api", _("The API of this provider has no list of courses. Upload a file instead.")


class CannotImport(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


class Overtaken(Exception):
    """It is another list than was shown, or the courses here have changed since: `comparison` is how it is now."""

    def __init__(self, comparison: Comparison) -> None:
        super().__init__()
        self.comparison = comparison


class Source(models.TextChoices):
    """On the event, with how many courses have changed in `old_value` and how many are new in `new_value`."""

    FILE = "courses_from_file", _("from a file")
    API = "courses_from_api", _("from the provider's API")


def fetch(provider: Provider, *, by: User, now: datetime, secret_of: Callable[[str], str]) -> Contents:
    """The list that the provider's API has now. Raises CannotImport, FileRefused for a list that is none, or a
    ProviderError."""
    _check(by)
    if not registry.has_courses(provider.kind):
        raise CannotImport(Obstacle.NO_API)
    if not limits.allow("courses fetched", str(provider.pk), limit=CALLS, per=PERIOD, now=now):
        raise CannotImport(Obstacle.TOO_OFTEN)
    if not (token := secret_of(provider.secret_name)):
        raise ProviderRefused("no_secret", "a list of courses")
    turn = partial(line.turn, provider.pk, expires=SECONDS + 1)
    connection = Connection(
        provider.base_url, token, deadline=SECONDS, read_timeout=SECONDS, max_bytes=MOST_BYTES, turn=turn
    )
    found = registry.client_for(provider.kind, connection).courses()
    return course_files.collected(_cells(number, course) for number, course in enumerate(found, start=1))


def _cells(number: int, course: ListedCourse) -> tuple[int, Mapping[str, str | None]]:
    told = {"code": course.code, "title": course.title, "language": course.language or ""}
    return number, told | {"description": (course.description or "")[:LONGEST_DESCRIPTION]}


def preview(provider: Provider, contents: Contents, defaults: Defaults, *, by: User) -> Comparison:
    """What the list would change now; changes nothing. Raises CannotImport."""
    _check(by)
    return course_lists.compare(provider, contents, defaults)


@seats.transition
def take_in(
    provider_id: int,
    contents: Contents,
    defaults: Defaults,
    *,
    source: Source,
    expected: str,
    by: User,
    now: datetime,
) -> Comparison:
    """Take the list in as it was shown (`expected`: the fingerprint of that), and say what was done; nothing is ever
    deleted. Twice is once. Raises CannotImport or Overtaken, having changed nothing."""
    _check(by)
    comparison = course_lists.compare(course_lists.lock(provider_id), contents, defaults)
    if comparison.fingerprint != expected:
        raise Overtaken(comparison)
    if comparison.does_something:
        course_lists.take_in(comparison)
        history.record(
            Event.Kind.COURSES_IMPORTED,
            now=now,
            by=by,
            provider_id=provider_id,
            reason=source,
            old_value=len(comparison.changed),
            new_value=len(comparison.new),
        )
    return comparison


def still_offered(comparison: Comparison, *, now: datetime) -> set[int]:
    """Of what is gone at the provider, the ids of the courses that are on offer here now or later."""
    day = timezone.localdate(now)
    lasting = models.Q(offered_until=None) | models.Q(offered_until__gt=day)
    gone = [course.pk for course in comparison.gone]
    return set(Listing.objects.filter(lasting, course__in=gone).order_by().values_list("course_id", flat=True))


def _check(by: User) -> None:
    if not scoping.may(by, *rotating.EDITORS):
        raise CannotImport(Obstacle.NOT_YOURS)


def faults(comparison: Comparison, *, most: int) -> Iterator[tuple[int, str]]:
    """The rows that were left out, the first ones: each with its number and why."""
    for number, code in comparison.rejected[:most]:
        yield number, str(course_files.Fault(code).label)
