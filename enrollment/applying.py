"""Apply for a seat with a library card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.utils import timezone

from enrollment import asking, card_checking, history, rivalry, seats
from enrollment.eligibility import Reason, reasons_against
from enrollment.models import Enrollment, Event, Letter, SeatPool, Share
from libraries.cards.checks import Answer, Outcome, Question
from libraries.models import Card, Library, User


@dataclass(frozen=True, kw_only=True)
class Application:
    """What an applicant tells. `number` is normalized; `second_fact` and `pin` are used once and never kept."""

    library: Library
    number: str = field(repr=False)
    first_name: str = field(repr=False)
    last_name: str = field(repr=False)
    second_fact: str | None = field(repr=False)
    language: str
    privacy_version: str
    age_confirmed: int | None
    # Of the page that told about personal data; empty: the same as `language`, in which letters are written.
    privacy_language: str = ""
    pin: str | None = field(default=None, repr=False)


class Ineligible(Exception):
    def __init__(self, reasons: Sequence[Reason]) -> None:
        super().__init__(", ".join(reasons))
        self.reasons = reasons


def apply(*, user: User, pool: SeatPool, application: Application, address: str, now: datetime) -> Enrollment:
    """Ask about the card, then apply: the application takes a seat at once if there is one.

    Applying twice with the same card gives back the first application. Raises Ineligible, or what `asking.ask` raises,
    and has then changed nothing. The question is asked outside any transaction.
    """
    earlier, share = _open_application(user, pool), _share(pool, application)
    if earlier is not None and _is_same(earlier, application):
        return earlier
    reasons = reasons_against(user, pool, share, applied=earlier is not None, proved=True, now=now)
    if reasons:
        raise Ineligible(reasons)
    answer = _ask(application, address=address, now=now)
    return _enter(user=user, pool_id=pool.pk, application=application, answer=answer, now=now)


def _open_application(user: User, pool: SeatPool) -> Enrollment | None:
    return Enrollment.objects.open().filter(user=user, pool=pool).first()


def _is_same(earlier: Enrollment, application: Application) -> bool:
    card = earlier.card
    return (card.institution_id, card.number) == (application.library.institution_id, application.number)


def _share(pool: SeatPool, application: Application) -> Share | None:
    return pool.shares.filter(institution_id=application.library.institution_id).first()


def _ask(application: Application, *, address: str, now: datetime) -> Answer:
    question = Question(
        number=application.number,
        last_name=application.last_name,
        on=_day(now),
        pin=application.pin,
        second_fact=application.second_fact,
    )
    return asking.ask(application.library, question, address=address, now=now)


def _day(now: datetime) -> date:
    return timezone.localdate(now)


@seats.transition
def _enter(*, user: User, pool_id: int, application: Application, answer: Answer, now: datetime) -> Enrollment:
    institution_id, number = application.library.institution_id, application.number
    pools, cards = rivalry.lock_number(institution_id, number, and_pools=[pool_id])
    pool = pools[pool_id]
    _note_names(user, application)
    earlier, share = _open_application(user, pool), _share(pool, application)
    if earlier is not None and _is_same(earlier, application):
        return earlier
    proved = answer.outcome == Outcome.CONFIRMED
    own = any(each.user_id == user.pk and each.is_proved_on(_day(now)) for each in cards)
    reasons = reasons_against(
        user,
        pool,
        share,
        applied=earlier is not None,
        proved=proved or own,
        now=now,
        silent=answer.outcome == Outcome.NO_ANSWER,
    )
    if share is None or reasons:
        raise Ineligible(reasons)
    card = card_checking.claim(
        pools, cards, user=user, library=application.library, number=number, answer=answer, now=now
    )
    return take_in(pools, share, card, application, now=now)


def take_in(
    pools: rivalry.Pools,
    share: Share,
    card: Card,
    application: Application,
    *,
    now: datetime,
    at_desk_by: User | None = None,
) -> Enrollment:
    """The application on this card, as it stands after the seats were given out. Within the locks of
    `rivalry.lock_number`, under which everything that stands against it was looked at."""
    enrollment = _insert(share, card, application, now=now, at_desk_by=at_desk_by)
    given = rivalry.allocate(pools, now=now)
    return _answer(enrollment, given, now=now)


def _note_names(user: User, application: Application) -> None:
    """It also locks the person, before their applications are read: the account may be merged with another just now."""
    user.first_name, user.last_name = application.first_name, application.last_name
    user.language = application.language
    names = {"first_name": user.first_name, "last_name": user.last_name, "language": user.language}
    if not User.objects.filter(pk=user.pk, is_active=True).update(**names):
        raise Ineligible([Reason.ACCOUNT_CLOSED])


def _insert(
    share: Share, card: Card, application: Application, *, now: datetime, at_desk_by: User | None
) -> Enrollment:
    enrollment = Enrollment.objects.create(
        pool_id=share.pool_id,
        share=share,
        user_id=card.user_id,
        card=card,
        applied_at=now,
        passed_over=card.state == Card.State.DISPUTED,
        privacy_version=application.privacy_version,
        privacy_language=application.privacy_language or application.language,
        privacy_read_at=now,
        age_confirmed=application.age_confirmed,
    )
    lines = [history.line(Event.Kind.APPLIED, now=now, by=card.user, enrollment=enrollment)]
    if at_desk_by is not None:
        lines += [history.line(Event.Kind.DESK_SIGN_UP, now=now, by=at_desk_by, enrollment=enrollment)]
    if card.state == Card.State.CONFIRMED:
        how, kind = card.decided_how, Event.Kind.CARD_CONFIRMED
        lines += [history.line(kind, now=now, by=at_desk_by, enrollment=enrollment, reason=how)]
    if card.unanswered_since is not None:
        lines += [history.line(Event.Kind.CARD_UNANSWERED, now=now, enrollment=enrollment)]
    if card.state == Card.State.DISPUTED:
        lines += [history.line(Event.Kind.CARD_DISPUTED, now=now, enrollment=enrollment)]
    history.write(lines)
    return enrollment


def _answer(enrollment: Enrollment, given: Sequence[Enrollment], *, now: datetime) -> Enrollment:
    """The application as it stands after the seats were given out; who got none is told about the queue."""
    for each in given:
        if each.pk == enrollment.pk:
            return each
    history.record(Event.Kind.QUEUED, now=now, enrollment=enrollment)
    Letter.objects.owe(Letter.Kind.IN_QUEUE, enrollment, now=now)
    return enrollment
