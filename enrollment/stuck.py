"""What people do about an account that got stuck: try again, give up and free the place, or say that it is done."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import F
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from enrollment import agreeing, ending, outcomes, rivalry, seats
from enrollment.models import Enrollment, Event, ProviderAccount
from enrollment.models.enrollment import EnrollmentQuerySet
from enrollment.models.owed import OwedWork
from libraries.models import User

Seen = ProviderAccount.Seen
Text = str | Promise


class Obstacle(models.TextChoices):
    NOT_STUCK = "not_stuck", _("It was not stuck.")
    NO_PLACE = "no_place", _("No place hangs on it: the account is only to be closed or erased.")
    NO_REASON = "no_reason", _("Write why.")


@transaction.atomic
def try_again(pk: int, *, by: User, now: datetime) -> Obstacle | None:
    """A person asks for another try, recorded; its turn stays. Says why it was left as it was, or nothing."""
    account = _lock(pk)
    if account is None:
        return Obstacle.NOT_STUCK
    ProviderAccount.objects.filter(pk=pk).update(answer="", **OwedWork.debt(now))
    outcomes.record_latest(account, Event.Kind.ACCOUNT_RETRIED, now=now, by=by)
    return None


@transaction.atomic
def mark_done(pk: int, *, by: User, now: datetime, words: str) -> Obstacle | None:
    """A person has seen to it at the provider, and writes how they know: what must be counts as seen, and the member
    is told. Says why it was left as it was, or nothing."""
    account = _lock(pk)
    if account is None:
        return Obstacle.NOT_STUCK
    if not words.strip():
        return Obstacle.NO_REASON
    settled = {
        "due_at": None,
        "stuck_at": None,
        "trouble": "",
        "answer": "",
        "attempts": 0,
        "version": F("version") + 1,
    }
    ProviderAccount.objects.filter(pk=pk).update(
        lease_token=None, lease_until=None, **settled, **_as_it_must(account, now)
    )
    account.refresh_from_db()
    outcomes.record_latest(account, Event.Kind.ACCOUNT_BY_HAND, now=now, by=by, words=words.strip())
    if account.is_ready:
        outcomes.tell_ready(account, now=now)
    return None


def _as_it_must(account: ProviderAccount, now: datetime) -> dict[str, Any]:
    if account.must_be_active:
        return {"seen": Seen.ACTIVE, "seen_at": now, "told": agreeing.read(account, now=now).told}
    if account.must_be_erased:
        return {"seen": Seen.ABSENT, "seen_at": now, "told": "", "remote_id": "", "erased_at": now}
    return {"seen": Seen.INACTIVE, "seen_at": now, "told": ""}


def _lock(pk: int) -> ProviderAccount | None:
    return ProviderAccount.objects.stuck().filter(pk=pk).select_for_update(no_key=True).first()


# --- What it would do ---


@dataclass(frozen=True)
class Given:
    """An account that would be given up or marked as done, and the places that would end, or whose member would read
    that it is ready."""

    account: ProviderAccount
    places: Sequence[Enrollment]

    @property
    def becomes(self) -> Text:
        """What the account counts as when it is marked as done."""
        if self.account.must_be_erased:
            return _("erased")
        return Seen.ACTIVE.label if self.account.must_be_active else Seen.INACTIVE.label


@dataclass(frozen=True)
class Forecast:
    """What it would do now. `fingerprint` is the same as long as it would do the same."""

    rows: Sequence[Given]

    @property
    def places(self) -> int:
        return sum(len(row.places) for row in self.rows)

    @property
    def erased(self) -> int:
        return sum(row.account.must_be_erased for row in self.rows)

    @property
    def fingerprint(self) -> str:
        facts = [(*_musts(row.account), [place.pk for place in row.places]) for row in self.rows]
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def foresee(pks: Collection[int]) -> Forecast:
    """Of those that can be given up; with two queries."""
    found = _with_places(_to_give_up().filter(pk__in=pks), of=Enrollment.objects.all())
    return Forecast([each for each in found if each.places])


def foresee_by_hand(pks: Collection[int]) -> Forecast:
    """Of those that can be marked as done; with two queries."""
    which = ProviderAccount.objects.stuck().filter(pk__in=pks)
    return Forecast(_with_places(which, of=outcomes.untold(Enrollment.objects.all())))


def _musts(account: ProviderAccount) -> tuple[int, bool, bool]:
    return account.pk, account.must_be_active, account.must_be_erased


def _with_places(which: models.QuerySet[ProviderAccount], of: EnrollmentQuerySet) -> list[Given]:
    accounts = list(which.select_related("provider").order_by("pk"))
    to_be_open = [each.user_id for each in accounts if each.must_be_active]
    rows = of.filter(user__in=to_be_open, state=Enrollment.State.SEATED)
    places: dict[tuple[int, int], list[Enrollment]] = {}
    for row in rows.select_related("pool__programme", "share__institution").order_by("pk"):
        places.setdefault((row.user_id, row.pool.programme.provider_id), []).append(row)
    return [Given(each, places.get((each.user_id, each.provider_id), [])) for each in accounts]


# --- Giving up ---


@seats.transition
def give_up(pk: int, *, by: User, now: datetime) -> Obstacle | None:
    """The account cannot be had: its places end and go to whoever is next, the member is told, and the account's
    closing stays owed. Says why it was left as it was, or nothing."""
    account = ProviderAccount.objects.stuck().filter(pk=pk).first()
    if account is None:
        return Obstacle.NOT_STUCK
    pools, places = _lock_places(account)
    if _lock(pk) is None:
        return Obstacle.NOT_STUCK
    if not places or not _to_give_up().filter(pk=pk).exists():
        return Obstacle.NO_PLACE
    outcomes.record_latest(account, Event.Kind.ACCOUNT_GIVEN_UP, now=now, by=by, reason=account.trouble[:20])
    ending.end_each(pools, places, reason=Enrollment.EndReason.NO_ACCOUNT, by=by, now=now)
    return None


def _to_give_up() -> models.QuerySet[ProviderAccount]:
    return ProviderAccount.objects.stuck().filter(must_be_active=True)


def _lock_places(account: ProviderAccount) -> tuple[rivalry.Pools, list[Enrollment]]:
    """The pools of everybody with the same card numbers first, then the places, read again."""
    before = list(_places(account).select_related("card", "next_card"))
    cards = [card for place in before for card in (place.card, place.next_card) if card is not None]
    numbers = map(rivalry.number_of, cards)
    pools, _cards = rivalry.lock_numbers(numbers, and_pools=[place.pool_id for place in before])
    places = list(_places(account).select_for_update(no_key=True, of=("self",)))
    if _carried(places) != _carried(before):
        raise seats.ChangedMeanwhile
    return pools, places


def _places(account: ProviderAccount) -> EnrollmentQuerySet:
    return outcomes.enrollments(account).filter(state=Enrollment.State.SEATED).order_by("pk")


def _carried(places: Sequence[Enrollment]) -> list[tuple[int, int, int | None]]:
    return [(place.pk, place.card_id, place.next_card_id) for place in places]
