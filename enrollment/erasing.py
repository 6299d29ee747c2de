"""Erase a person's data: what they have ends at once, what is kept about them here is gone within a day, and their
accounts at providers are owed to be erased until each provider has none any more.

The person's row stays, with nothing of theirs in it, and so do their applications, as numbers in the seats' books.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from allauth.idp.oidc.models import Token
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from enrollment import ending, erase_plan, erasure_list, history, rivalry, seats
from enrollment.erase_plan import Obstacle, Plan
from enrollment.models import (
    CourseRun,
    Difference,
    Enrollment,
    Erasure,
    Event,
    EventNote,
    Launch,
    Letter,
    ListedAccount,
    Picking,
    ProviderAccount,
    ProviderNotice,
)
from libraries import membership, people, sessions
from libraries.models import Card, User

logger = logging.getLogger(__name__)

# The letter that tells of the wish goes first, but the data do not wait longer for it than this.
LETTER_WITHIN = timedelta(days=1)
HOW = "erased"
# On the events of what is erased here, and of the end of it all.
HERE, EVERYWHERE, AGAIN = "here", "everywhere", "again"


class Reason(models.TextChoices):
    """How staff know that it is the person's wish: kept with the event, which outlives typed words."""

    AT_DESK = "asked_at_desk", _("asked at the desk, and showed who they are")
    IN_WRITING = "asked_in_writing", _("asked in writing, and it is sure who wrote")
    BY_OFFICER = "asked_by_officer", _("asked by way of the data protection officer")


class CannotErase(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


class Overtaken(Exception):
    """Since it was previewed, something has changed: `plan` is what it would do now."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan


def preview(*, user_id: int, by: User) -> Plan:
    """What `ask` would do now; changes nothing. Raises CannotErase."""
    return _checked(erase_plan.plan_for(user_id, erase_plan.people_of(user_id), locked=False), by)


@seats.transition
def ask(
    *,
    user_id: int,
    by: User | None,
    now: datetime,
    reason: str = "",
    expected: str | None = None,
    again: erasure_list.Entry | None = None,
) -> Erasure:
    """From now on the person has no place, cannot sign in, and their accounts at providers are owed to be erased; twice
    is once. `again` is the line of the list that says so after a restore (then `by` is None, and no letter is owed).

    `expected` is the fingerprint of a preview: when it would not do the same any more, Overtaken is raised.
    Raises CannotErase.
    """
    pools, plan = _lock(user_id, by)
    earlier = Erasure.objects.filter(user_id=user_id).first()
    if earlier is not None:
        return earlier
    if not plan.user.is_active and again is None:
        raise CannotErase(Obstacle.UNKNOWN)
    if expected is not None and plan.fingerprint != expected:
        raise Overtaken(plan)
    _end_all(pools, plan, by=by, now=now)
    _drop_letters(plan, now=now)
    for person in plan.people:
        people.close(person)
    ProviderAccount.objects.filter(pk__in=[each.pk for each in plan.accounts], erased_at=None).update(
        must_be_active=False, must_be_erased=True, **ProviderAccount.debt(now)
    )
    _record(Event.Kind.ERASURE_ASKED, plan.enrollments, user_id, by=by, now=now, reason=AGAIN if again else reason)
    if by is not None:
        _owe_letter(plan, now=now)
    return Erasure.objects.create(
        user_id=user_id,
        code=_code(again),
        asked_at=again.at if again else now,
        asked_by_id=None if by is None or by.pk == user_id else by.pk,
    )


def _code(again: erasure_list.Entry | None) -> str:
    """That of the certificate which the person has; where it was for several accounts, the first gets it."""
    if again is not None and not Erasure.objects.filter(code=again.code).exists():
        return again.code
    return secrets.token_urlsafe(24)


def _lock(user_id: int, by: User | None) -> tuple[rivalry.Pools, Plan]:
    """The pools of everybody with the same card numbers too: a card that is let go hands its number on."""
    ids = erase_plan.people_of(user_id)
    numbers = erase_plan.open_numbers(ids)
    pools, _cards = rivalry.lock_numbers(numbers, and_pools=erase_plan.open_pools(ids))
    plan = _checked(erase_plan.plan_for(user_id, ids, locked=True), by)
    now_open = erase_plan.open_numbers(ids), erase_plan.open_pools(ids), erase_plan.people_of(user_id)
    if not (now_open[0] <= numbers and now_open[1] <= pools.keys() and now_open[2] == ids):
        raise seats.ChangedMeanwhile
    return pools, plan


def _checked(plan: Plan | None, by: User | None) -> Plan:
    found = Obstacle.UNKNOWN if plan is None else plan.obstacle(by)
    if plan is None or found is not None:
        raise CannotErase(found or Obstacle.UNKNOWN)
    return plan


def _end_all(pools: rivalry.Pools, plan: Plan, *, by: User | None, now: datetime) -> None:
    """Their open applications first, then the cards: the numbers are free for others, also those that were proved."""
    for enrollment in plan.ending:
        ending.end(pools[enrollment.pool_id], enrollment, reason=Enrollment.EndReason.ERASED, by=by, now=now)
    for card in plan.cards:
        if card.state in Card.OPEN:
            membership.lapse(card, how=HOW, now=now)
            rivalry.hand_on(pools, card.institution_id, card.number, now=now)
    rivalry.allocate(pools, now=now)


def _drop_letters(plan: Plan, *, now: datetime) -> None:
    """One that is being sent right now leaves; whoever slept past their lease on one has lost it."""
    unclaimed = Q(lease_until=None) | Q(lease_until__lte=now)
    owed = Letter.objects.owed().filter(unclaimed, user__in=plan.people)
    owed.update(due_at=None, stuck_at=None, dropped_at=now, lease_token=None, lease_until=None)


def _owe_letter(plan: Plan, *, now: datetime) -> None:
    """To an address that nobody has proved goes no letter about a person; a letter is about an application."""
    latest = max(plan.enrollments, key=lambda each: (each.user_id == plan.user.pk, each.applied_at), default=None)
    if latest is not None and latest.user_id == plan.user.pk and plan.user.address_proved_at is not None:
        Letter.objects.owe(Letter.Kind.ERASURE_ASKED, latest, now=now)


def _record(
    kind: Event.Kind,
    enrollments: Sequence[Enrollment],
    user_id: int,
    *,
    now: datetime,
    by: User | None = None,
    reason: str = "",
) -> None:
    """On the path of each of their applications; of somebody who never applied, with the person's number."""
    history.record_each([(kind, each) for each in enrollments], now=now, by=by, reason=reason)
    if not enrollments:
        history.record(kind, now=now, by=by, reason=reason, old_value=user_id)


# --- Here ---


def erase_due(*, now: datetime) -> int:
    """Go on with every erasure; say how many got further. Without the list outside the database nothing is erased
    here: a restore would bring it back, and nobody would know."""
    further = 0
    for erasure in Erasure.objects.filter(erased_here_at=None).order_by("asked_at", "pk"):
        try:
            write_down(erasure, now=now)
            further += _letter_is_gone(erasure, now) and erase_here(erasure_id=erasure.pk, now=now)
        except erasure_list.ListTrouble as error:
            logger.error("erasures wait: the list of erasures cannot be written (%s)", error)
            break
        except Exception as error:  # what ails one must not keep the others; only its kind: it may quote a row
            logger.error("erasure %s failed: %s", erasure.pk, type(error).__name__)
    return further + finish_due(now=now)


def write_down(erasure: Erasure, *, now: datetime) -> None:
    if erasure.listed_at is None:
        erasure_list.append(erasure_list.Entry(erasure.asked_at, erasure.code, _keys_of(erasure.user_id)))
        Erasure.objects.filter(pk=erasure.pk).update(listed_at=now)


def _keys_of(user_id: int) -> list[str]:
    """Under the newest key alone; first of the account that stayed, where several were put together."""
    ids = erase_plan.people_of(user_id)
    rows = User.objects.filter(pk__in=ids).values_list("pk", "date_joined")
    persons = sorted(rows, key=lambda each: (each[0] != user_id, each[0]))
    accounts = ProviderAccount.objects.filter(user_id__in=ids).order_by("pk").values_list("external_id", flat=True)
    of_persons = [erasure_list.keys_of_person(pk, joined)[0] for pk, joined in persons]
    return of_persons + [erasure_list.keys_of_account(each)[0] for each in accounts]


def _letter_is_gone(erasure: Erasure, now: datetime) -> bool:
    mine = Letter.objects.owed().filter(user_id=erasure.user_id, kind=Letter.Kind.ERASURE_ASKED, stuck_at=None)
    return erasure.asked_at <= now - LETTER_WITHIN or not mine.exists()


def erase_here(*, erasure_id: int, now: datetime) -> bool:
    """What is personal; says whether it was done now. It waits while a letter to them is being sent."""
    user_id = Erasure.objects.get(pk=erasure_id).user_id
    plan = erase_plan.plan_for(user_id, erase_plan.people_of(user_id), locked=False)
    if plan is not None:
        sessions.forget(user_ids=[each.pk for each in plan.people], texts=_texts(plan))
    return _erase_rows(erasure_id, now=now)


def _texts(plan: Plan) -> set[str]:
    names = {each.full_name for each in plan.people if each.first_name and each.last_name}
    return {each.email for each in plan.people} | names | {each.number for each in plan.cards}


@seats.transition
def _erase_rows(erasure_id: int, *, now: datetime) -> bool:
    user_id = Erasure.objects.get(pk=erasure_id).user_id
    ids = erase_plan.people_of(user_id)
    plan = erase_plan.plan_for(user_id, ids, locked=True)
    erasure = Erasure.objects.select_for_update(no_key=True).get(pk=erasure_id)
    if erasure.erased_here_at is not None or Letter.objects.filter(user_id__in=ids, lease_until__gt=now).exists():
        return False
    if plan is not None:
        _drop_letters(plan, now=now)
        _forget(plan)
        _record(Event.Kind.ERASED, plan.enrollments, user_id, now=now, reason=HERE)
    erasure.erased_here_at = now
    erasure.save(update_fields=["erased_here_at"])
    return True


def _forget(plan: Plan) -> None:
    numbers, cards = [each.pk for each in plan.enrollments], [each.pk for each in plan.cards]
    about = Q(event__enrollment_id__in=numbers) | Q(event__card_id__in=cards)
    merged = Q(event__kind=Event.Kind.MERGED, event__new_value__in=[each.pk for each in plan.people])
    EventNote.objects.filter(about | merged).delete()
    CourseRun.objects.filter(user__in=plan.people).delete()
    Launch.objects.filter(user__in=plan.people).delete()
    Picking.objects.filter(user__in=plan.people).delete()
    Token.objects.filter(user__in=plan.people).delete()
    Enrollment.objects.filter(pk__in=numbers).update(age_confirmed=None)
    for account in plan.accounts:
        _forget_account(account)
    for card in plan.cards:
        membership.forget(card)
    for person in plan.people:
        people.forget(person)


def _forget_account(account: ProviderAccount) -> None:
    """What the provider told of it; the debt to erase it there stays, with our id and the provider's."""
    ProviderAccount.objects.filter(pk=account.pk).update(told="", answer="")
    ProviderNotice.objects.filter(provider_id=account.provider_id).filter(_same(account)).delete()
    ListedAccount.objects.filter(reconciliation__provider_id=account.provider_id).filter(_same(account)).delete()
    Difference.objects.filter(account=account).delete()


def _same(account: ProviderAccount) -> Q:
    ours = Q(external_id=str(account.external_id))
    return ours | Q(remote_id=account.remote_id) if account.remote_id else ours


# --- Everywhere ---


def finish_due(*, now: datetime) -> int:
    """End the erasures that are done here and of which no provider has an account any more; say how many. One that was
    ended goes on where a comparison has found an account again."""
    owed = ProviderAccount.objects.filter(must_be_erased=True, erased_at=None)
    Erasure.objects.filter(finished_at__isnull=False, user_id__in=owed.values("user_id")).update(finished_at=None)
    done_here = Erasure.objects.filter(erased_here_at__isnull=False, finished_at=None)
    return sum(_finish(pk, now=now) for pk in done_here.order_by("pk").values_list("pk", flat=True))


@seats.transition
def _finish(erasure_id: int, *, now: datetime) -> bool:
    erasure = Erasure.objects.select_for_update(no_key=True).get(pk=erasure_id)
    accounts = ProviderAccount.objects.filter(user_id__in=erase_plan.people_of(erasure.user_id))
    if erasure.finished_at is not None or accounts.filter(erased_at=None).exists():
        return False
    for account in accounts:  # what the provider told meanwhile
        _forget_account(account)
    accounts.update(remote_id="")
    enrollments = list(Enrollment.objects.filter(user_id=erasure.user_id).select_related("share").order_by("pk"))
    _record(Event.Kind.ERASED, enrollments, erasure.user_id, now=now, reason=EVERYWHERE)
    erasure.finished_at = now
    erasure.save(update_fields=["finished_at"])
    return True
