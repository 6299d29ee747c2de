"""Applications as their owner reads them: the path, the place in the queue, and where to start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils import timezone

from enrollment import renewing
from enrollment.models import Enrollment, Event, ProviderAccount
from enrollment.models.enrollment import EnrollmentQuerySet
from enrollment.reports import proofs
from enrollment.reports.path import Step, events_of, path_of
from enrollment.reports.prospect import Prospect, prospect_of
from libraries.models import Card

State = Enrollment.State


@dataclass(frozen=True)
class Place:
    enrollment: Enrollment
    path: Sequence[Step]
    prospect: Prospect | None
    account: ProviderAccount | None
    may_renew: bool

    @property
    def in_queue(self) -> int | None:
        return self.prospect.place if self.prospect else None

    @property
    def is_open(self) -> bool:
        return self.enrollment.state != State.ENDED

    @property
    def to_prove(self) -> Card | None:
        return proofs.card_to_prove(self.enrollment)

    @property
    def asks_back(self) -> bool:
        """Whether its library's system did not answer, and the member is to come back with the PIN."""
        return proofs.asks_back(self.enrollment)

    @property
    def start_url(self) -> str:
        """Where to start; empty until the provider has confirmed that the account is open."""
        ready = self.enrollment.state == State.SEATED and self.account is not None and self.account.is_ready
        return self.enrollment.pool.programme.provider.start_url if ready else ""


def places_of(enrollments: EnrollmentQuerySet) -> list[Place]:
    """In the order of the enrollments, with three queries, and some for each that waits or ends soon."""
    needed = ("pool__programme__provider", "share__institution", *proofs.SYSTEMS)
    found = list(enrollments.select_related(*needed))
    events, accounts = events_of(found), _accounts(found)
    return [
        _place(each, events[each.pk], accounts.get((each.user_id, each.pool.programme.provider_id))) for each in found
    ]


def _place(enrollment: Enrollment, events: Sequence[Event], account: ProviderAccount | None) -> Place:
    prospect = prospect_of(enrollment, now=timezone.now())
    path = path_of(enrollment, events, account=account, place=prospect.place if prospect else None)
    may_renew = renewing.obstacle(enrollment, now=timezone.now()) is None
    return Place(enrollment=enrollment, path=path, prospect=prospect, account=account, may_renew=may_renew)


def _accounts(enrollments: Iterable[Enrollment]) -> dict[tuple[int, int], ProviderAccount]:
    people = {enrollment.user_id for enrollment in enrollments}
    found = ProviderAccount.objects.filter(user_id__in=people)
    return {(account.user_id, account.provider_id): account for account in found}
