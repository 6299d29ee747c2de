"""An application without HTTP, when all seats are taken."""

from statistics import median

from django.utils import timezone

from benchmarks.rows import FACT, Member, make_visitors
from benchmarks.stage import milliseconds
from enrollment import applying
from enrollment.models import Enrollment, SeatPool
from enrollment.privacy import PRIVACY_TEXT_VERSION
from libraries.models import Library, User

PEOPLE = 50


def apply_some(pool: SeatPool, *, start: int) -> float:
    """One after another; milliseconds for one."""
    visitors = make_visitors(PEOPLE, start=start)
    users = User.objects.bulk_create([User(email=visitor.email, password="!") for visitor in visitors])
    return median(
        milliseconds(lambda: _apply(user, visitor, pool.pk))  # noqa: B023 - called at once
        for user, visitor in zip(users, visitors, strict=True)
    )


def _apply(user: User, visitor: Member, pool_id: int) -> None:
    told = applying.Application(
        library=Library.objects.select_related("institution").get(pk=visitor.library_id),
        number=visitor.card,
        first_name="Ada",
        last_name="Peeters",
        second_fact=FACT,
        language="nl",
        privacy_version=PRIVACY_TEXT_VERSION,
        age_confirmed=None,
    )
    pool = SeatPool.objects.select_related("programme").get(pk=pool_id)
    made = applying.apply(user=user, pool=pool, application=told, address=visitor.address, now=timezone.now())
    assert made.state == Enrollment.State.WAITING
