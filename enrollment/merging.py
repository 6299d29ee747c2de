"""Put two accounts of one person together: the older claim is kept, and nobody else's turn comes later for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any, TypeVar

from django.db.models import Model, Q, QuerySet

from enrollment import ending, following, history, new_cards, rivalry, seats
from enrollment.merge_plan import Fate, Obstacle, Plan, older
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from libraries import identities, membership, scoping
from libraries.models import Card, StaffRole, User

M = TypeVar("M", bound=Model)
HOW = "merged"


class CannotMerge(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


class Overtaken(Exception):
    """Since it was previewed, something has changed: `plan` is what it would do now."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan


def suggest(*, user_ids: Iterable[int]) -> int:
    """Which of these two had better stay: the one with the older claim."""
    people = list(User.objects.filter(pk__in=user_ids))
    return older(Enrollment.objects.filter(user__in=people), people).pk


def preview(*, keep_user_id: int, other_user_id: int, by: User, now: datetime) -> Plan:
    """What `merge` would do now, with the programmes, libraries and providers for the page; changes nothing.
    Raises CannotMerge."""
    return _plan(keep_user_id, other_user_id, by=by, locked=False)


@seats.transition
def merge(
    *, keep_user_id: int, other_user_id: int, words: str, by: User, now: datetime, expected: str | None = None
) -> Plan:
    """Everything the other account has goes to the one that stays, and the other is closed; where both applied in a
    programme, one application ends and the other stands where the first of the two stood. Says what was done.

    `expected` is the fingerprint of a preview: when it would not do the same any more, Overtaken is raised.
    Raises CannotMerge.
    """
    ids = (keep_user_id, other_user_id)
    pools = seats.lock_all(_pools_of(ids))
    plan = _plan(*ids, by=by, locked=True)
    if not _pools_of(ids) <= pools.keys():
        raise seats.ChangedMeanwhile
    if not words.strip():
        raise CannotMerge(Obstacle.NO_WORDS)
    if expected is not None and plan.fingerprint != expected:
        raise Overtaken(plan)
    told = _Told(words.strip(), by, now)
    past = list(plan.other.enrollments.filter(state=Enrollment.State.ENDED).select_related("share").order_by("pk"))
    left = _end_seconds(pools, plan, told)
    _hand_over(pools, plan, told)
    _let_go(pools, left, now=now)
    _settle_accounts(plan, now=now)
    _close(plan, past, told)
    rivalry.allocate(pools, now=now)
    return plan


# --- Before: everything is locked, then read ---


def _pools_of(ids: Iterable[int]) -> set[int]:
    """Where either has an open application, and where anybody has one with a number of theirs: an unproved card that
    is let go hands its number on."""
    found = Enrollment.objects.open().filter(Q(user_id__in=ids) | _with_their_numbers(ids, "card__"))
    return set(found.values_list("pool_id", flat=True))


def _with_their_numbers(ids: Iterable[int], path: str) -> Q:
    pairs = Card.objects.filter(user_id__in=ids, state__in=Card.OPEN).values_list("institution_id", "number")
    of_each = (Q(**{f"{path}institution_id": pk, f"{path}number": number}) for pk, number in pairs)
    return reduce(or_, of_each, Q(pk__in=()))


def _plan(keep_id: int, other_id: int, *, by: User, locked: bool) -> Plan:
    """Cards (those of rivals too), people, enrollments, accounts: locked in this order, each by id. Whoever applies
    meanwhile waits for the people's rows, and then finds the account closed."""
    ids = (keep_id, other_id)
    cards = _by_id(Card.objects.filter(Q(user_id__in=ids) | _with_their_numbers(ids, "")), locked)
    people = {each.pk: each for each in _by_id(User.objects.filter(pk__in=ids), locked)}
    if found := _obstacle(keep_id, other_id, people.values(), by):
        raise CannotMerge(found)
    needed = ("share__institution", "card__library", "pool__programme")
    rows = Enrollment.objects.open().filter(user_id__in=ids).select_related(*needed)
    accounts = ProviderAccount.objects.filter(user_id__in=ids).select_related("provider")
    own = [card for card in cards if card.user_id in ids]
    return Plan(people[keep_id], people[other_id], own, _by_id(rows, locked), _by_id(accounts, locked))


def _by_id(rows: QuerySet[M], locked: bool) -> list[M]:
    return list((rows.select_for_update(no_key=True, of=("self",)) if locked else rows).order_by("pk"))


def _obstacle(keep_id: int, other_id: int, people: Iterable[User], by: User) -> Obstacle | None:
    found = list(people)
    obstacles = {
        Obstacle.NOT_COORDINATOR: not scoping.may(by, scoping.Role.COORDINATOR),
        Obstacle.SAME: keep_id == other_id,
        Obstacle.YOURSELF: by.pk in (keep_id, other_id),
        Obstacle.UNKNOWN: len(found) < 2,
        Obstacle.STAFF: any(each.is_staff or each.is_superuser for each in found)
        or StaffRole.objects.filter(user__in=found).exists(),
        Obstacle.INACTIVE: not all(each.is_active for each in found),
        # What a proved address has would wait for one that may be a stranger's.
        Obstacle.UNPROVED: any(each.pk == keep_id and each.address_proved_at is None for each in found),
    }
    return next((obstacle for obstacle, holds in obstacles.items() if holds), None)


# --- What is done, in this order ---


class _Told:
    """What every event of this merge says."""

    def __init__(self, words: str, by: User, now: datetime) -> None:
        self.words, self.by, self.now = words, by, now
        self.is_on_record = False

    def record(self, enrollment: Enrollment | None, **values: Any) -> None:
        history.record(Event.Kind.MERGED, now=self.now, by=self.by, enrollment=enrollment, words=self.words, **values)
        self.is_on_record = True


def _end_seconds(pools: rivalry.Pools, plan: Plan, told: _Told) -> set[int]:
    """First of all: nobody may have two open applications in a pool, not even within the transaction. Gives back the
    cards that carried them, or were to."""
    left = set()
    for ends in (fate.ends for fate in plan.fates if fate.ends is not None):
        reason, pool = Enrollment.EndReason.MERGED, pools[ends.pool_id]
        new_card_id = ending.end(pool, ends, reason=reason, by=told.by, now=told.now, words=told.words)
        left |= {ends.card_id, new_card_id}
    return {card_id for card_id in left if card_id is not None}


def _hand_over(pools: rivalry.Pools, plan: Plan, told: _Told) -> None:
    """Cards and applications, the past ones too, identities to sign in with, and courses. Of two cards with one number
    one stays, and carries what the other carried."""
    for double in plan.doubles:
        membership.lapse(double.goes, how=HOW, now=told.now)
    Card.objects.filter(user=plan.other).update(user=plan.keep)
    Enrollment.objects.filter(user=plan.other).update(user=plan.keep)
    identities.hand_over(of=plan.other, to=plan.keep)
    following.hand_over(of=plan.other, to=plan.keep)
    for fate in plan.fates:
        _stay(pools, plan, fate, told)


def _stay(pools: rivalry.Pools, plan: Plan, fate: Fate, told: _Told) -> None:
    stays, moved = fate.stays, plan.moves(fate.stays)
    card, wanted = plan.card_after(stays.card), stays.next_card
    recarded = card.pk != stays.card_id
    stays.user, stays.card, stays.next_card = plan.keep, card, _next_card(plan, stays, card)
    (stays.priority, stays.applied_at), stays.used_at = fate.place, fate.used_at
    stays.save(update_fields=["user", "card", "next_card", "priority", "applied_at", "used_at"])
    if moved or recarded or fate.ends:
        told.record(stays, reason=fate.why, old_value=fate.ends and fate.ends.pk)
    if recarded and card.state in Card.LIVING:
        proved = card.state == Card.State.CONFIRMED
        because = Event.Kind.CARD_CONFIRMED if proved else Event.Kind.CARD_UNDISPUTED
        pool = pools[stays.pool_id]
        rivalry.stand_again(pool, stays, because=because, now=told.now, by=told.by, reason=Enrollment.EndReason.MERGED)
    _attach_proved(pools, plan, fate, wanted, told)


def _attach_proved(pools: rivalry.Pools, plan: Plan, fate: Fate, wanted: Card | None, told: _Told) -> None:
    """A card that is proved by now takes the place of the one it was to follow, and a proved one of the application
    that ended that of an unproved one."""
    proved = Card.State.CONFIRMED
    if wanted is None and fate.ends is not None and fate.stays.card.state != proved:
        wanted = fate.ends.card
    if wanted is None:
        return
    card = plan.card_after(wanted)
    if card.state == proved and card.pk != fate.stays.card_id:
        card.user = plan.keep
        new_cards.attach(pools, fate.stays, card, now=told.now, by=told.by)


def _next_card(plan: Plan, stays: Enrollment, card: Card) -> Card | None:
    """The card that is to take its place, unless that one is here already or proved by now."""
    if stays.next_card is None:
        return None
    after = plan.card_after(stays.next_card)
    is_settled = after.pk == card.pk or (after.pk != stays.next_card_id and after.state == Card.State.CONFIRMED)
    return None if is_settled else after


def _let_go(pools: rivalry.Pools, card_ids: Iterable[int], *, now: datetime) -> None:
    """Those that are unproved and carry nothing any more."""
    for card_id in sorted(card_ids):
        rivalry.let_go(pools, card_id, now=now)


def _settle_accounts(plan: Plan, *, now: datetime) -> None:
    """Where only the other had an account, it is handed over, and owed again: the provider is to write the address of
    the one who stays. Where both had one, the other's is closed. Whatever a seat needs is open."""
    seated = plan.keep.enrollments.filter(state=Enrollment.State.SEATED)
    needed = set(seated.values_list("pool__programme__provider_id", flat=True))
    for account in plan.kept_accounts:
        # One that was open all along stays as it was last seen: nobody else saw that it was to be closed.
        is_open = account.must_be_active and account.provider_id in needed
        debt = ProviderAccount.debt(now) if account.must_be_active else {}
        ProviderAccount.objects.filter(pk=account.pk).update(user=plan.keep, must_be_active=is_open, **debt)
    closing = [account.pk for account in plan.closing_accounts]
    ProviderAccount.objects.filter(pk__in=closing).update(must_be_active=False, **ProviderAccount.debt(now))
    for provider_id in sorted(needed - {each.provider_id for each in plan.kept_accounts if each.must_be_active}):
        ProviderAccount.objects.owe_open(provider_id, [plan.keep.pk], now=now)


def _close(plan: Plan, past: Sequence[Enrollment], told: _Told) -> None:
    """The other account is closed; what was to be written to it is written to the one who stays."""
    User.objects.filter(pk=plan.other.pk).update(is_active=False)
    if not plan.keep.full_name:
        names = {"first_name": plan.other.first_name, "last_name": plan.other.last_name}
        User.objects.filter(pk=plan.keep.pk).update(**names)
    Letter.objects.owed().filter(user=plan.other).update(user=plan.keep)
    for enrollment in past:
        told.record(enrollment)
    if not told.is_on_record:  # no application of theirs tells of it
        told.record(None, old_value=plan.other.pk, new_value=plan.keep.pk)
    if plan.fates:
        Letter.objects.owe(Letter.Kind.MERGED, plan.fates[0].stays, now=told.now)
