"""An application without HTTP, when all seats are taken."""

from statistics import median

from django.utils import timezone

from benchmarks.allocate import milliseconds as time_of
from benchmarks.rows import FACT, Member, make_visitors
from enrollment import applying
from enrollment.models import Enrollment, SeatPool
from enrollment.privacy import PRIVACY_TEXT_VERSION
from libraries.models import Library, User

PEOPLE = 50


def milliseconds(pool: SeatPool, *, start: int) -> float:
    """For one of them."""
    visitors = make_visitors(PEOPLE, start=start)
    users = User.objects.bulk_create([User(email=visitor.email, password="!") for visitor in visitors])
    return median(
        time_of(lambda: _apply(user, visitor, pool.pk))  # noqa: B023 - called at once
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
