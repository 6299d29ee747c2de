"""Ada, who has a place and has started a course of the provider's, and the tool that tells how far she is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from catalog.models import Course, Programme
from enrollment import card_checking
from enrollment.models import CourseRun, Enrollment, ProviderAccount
from libraries.models import Library
from tests.factories import make_librarian, make_library, make_member, make_programme

ADA = "ada@example.test"


def seat(email: str = ADA, *, programme: Programme | None = None, library: Library | None = None) -> Enrollment:
    """With a card that a librarian has looked at, and an account that the provider has opened."""
    library = library or make_library()
    programme = programme or Programme.objects.filter(slug="leerkaart").first() or make_programme()
    now = timezone.now() - timedelta(days=2)
    enrollment = make_member(email, programme=programme, library=library, now=now)
    lin = make_librarian(library.institution, f"lin-{enrollment.pk}@example.test")
    card_checking.confirm(card_id=enrollment.card_id, by=lin, now=now)
    ProviderAccount.objects.filter(user=enrollment.user_id).update(seen="active", seen_at=now, due_at=None)
    return Enrollment.objects.select_related("user", "share__institution").get(pk=enrollment.pk)


def begin(enrollment: Enrollment, course: Course, **fields: Any) -> CourseRun:
    """Started a day ago."""
    begun = timezone.now() - timedelta(days=1)
    defaults = {"enrollment": enrollment, "started_at": begun, "last_started_at": begun, **fields}
    return CourseRun.objects.create(user_id=enrollment.user_id, course=course, **defaults)


def sub_of(enrollment: Enrollment) -> str:
    """By which the tool knows the member."""
    provider = enrollment.pool.programme.provider_id
    return str(ProviderAccount.objects.get(user_id=enrollment.user_id, provider_id=provider).external_id)


def score(member: Enrollment | str, **changes: Any) -> dict[str, Any]:
    """Half done, just now; what is changed to None is left out."""
    told = {
        "userId": member if isinstance(member, str) else sub_of(member),
        "scoreGiven": 0.5,
        "scoreMaximum": 1,
        "activityProgress": "InProgress",
        "gradingProgress": "Pending",
        "timestamp": timezone.now().isoformat(),
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}
