"""The path of one application, from its events: what is done, what is now, what comes next and who has to act."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils import timezone
from django.utils.translation import gettext as _

from enrollment.models import Enrollment, Event, ProviderAccount
from enrollment.reports import proofs
from libraries.models import Card, Institution, Library

Kind, State, EndReason = Event.Kind, Enrollment.State, Enrollment.EndReason


class Stage(StrEnum):
    DONE, NOW, LATER, BAD = "done", "now", "later", "bad"


@dataclass(frozen=True)
class Step:
    """One line; `stage` is also its class in the page. `event` is the event it tells of, if any: pages for staff add
    who did it and why."""

    stage: Stage
    words: str
    at: datetime | None = None
    note: str = ""
    event: Event | None = None


def events_of(enrollments: Iterable[Enrollment]) -> dict[int, list[Event]]:
    """The events of each in the order in which they happened, with one query."""
    found: dict[int, list[Event]] = {enrollment.pk: [] for enrollment in enrollments}
    for event in Event.objects.filter(enrollment_id__in=found).order_by("id"):
        if event.enrollment_id is not None:
            found[event.enrollment_id].append(event)
    return found


def path_of(
    enrollment: Enrollment, events: Sequence[Event], *, account: ProviderAccount | None, place: int | None
) -> list[Step]:
    """`account`: the person's account at the programme's provider; `place`: in the queue.

    The card, its library, the share's institution and the programme's provider must be loaded.
    """
    told = [_step(event, enrollment) for event in events if event.kind in _TOLD]
    return told + _ahead(enrollment, account=account, place=place)


# --- What has been ---

_TOLD = frozenset(
    {
        Kind.APPLIED,
        Kind.SEAT_GIVEN,
        Kind.SEAT_HELD,
        Kind.QUEUED,
        Kind.CARD_CONFIRMED,
        Kind.CARD_REFUSED,
        Kind.CARD_UNANSWERED,
        Kind.CARD_ANSWERED,
        Kind.CARD_EXPIRED,
        Kind.CARD_EXTENDED,
        Kind.NEW_CARD,
        Kind.NEW_CARD_DROPPED,
        Kind.NEW_CARD_REFUSED,
        Kind.CARD_CHANGED,
        Kind.STARTED,
        Kind.HOLD_LAPSED,
        Kind.PRIORITY_GIVEN,
        Kind.PRIORITY_TAKEN,
        Kind.ACCOUNT_OPENED,
        Kind.ACCOUNT_CLOSED,
        Kind.SEAT_RENEWED,
        Kind.MERGED,
        Kind.SEAT_ENDED,
        Kind.WITHDRAWN,
    }
)


_BAD = (Kind.CARD_REFUSED, Kind.CARD_EXPIRED, Kind.NEW_CARD_REFUSED, Kind.HOLD_LAPSED)


def _step(event: Event, enrollment: Enrollment) -> Step:
    stage = Stage.BAD if event.kind in _BAD else Stage.DONE
    words, note = _words(event, enrollment)
    return Step(stage, words, at=event.at, note=note, event=event)


def _words(event: Event, enrollment: Enrollment) -> tuple[str, str]:
    institution = _institution(event, enrollment)
    match event.kind:
        case Kind.APPLIED:
            return _("You applied"), _("With your card of %(library)s.") % {"library": _library(event, enrollment)}
        case Kind.CARD_CONFIRMED:
            return _("Card confirmed by %(library)s") % {"library": institution}, ""
        case Kind.CARD_REFUSED:
            return _("Card not accepted by %(library)s") % {"library": institution}, _refusal(event.reason)
        case Kind.NEW_CARD_REFUSED:
            return _("Other card not accepted by %(library)s") % {"library": institution}, _refusal(event.reason)
        case Kind.CARD_CHANGED:
            return _("Your other card carries your application now"), ""
        case Kind.SEAT_ENDED | Kind.WITHDRAWN:
            return _ending(event, enrollment), ""
        case _:
            return _plain_words()[event.kind], ""


def _institution(event: Event, enrollment: Enrollment) -> str:
    """The one it was at the time: a person may have moved to another since."""
    now = enrollment.share.institution
    if event.institution_id is None or event.institution_id == now.pk:
        return now.name
    return Institution.objects.get(pk=event.institution_id).name


def _library(event: Event, enrollment: Enrollment) -> str:
    if event.card_id is None or event.card_id == enrollment.card_id:
        return enrollment.card.library.name
    return Library.objects.get(cards=event.card_id).name


def _plain_words() -> dict[str, str]:
    return {
        Kind.SEAT_GIVEN: _("You got a place"),
        Kind.SEAT_HELD: _("A place is held for you"),
        Kind.QUEUED: _("You joined the queue"),
        Kind.HOLD_LAPSED: _("The held place was released, because the card was not checked in time"),
        Kind.CARD_UNANSWERED: _("The system of your library did not answer"),
        Kind.CARD_ANSWERED: _("The system of your library answers again"),
        Kind.CARD_EXPIRED: _("Your library card expired"),
        Kind.CARD_EXTENDED: _("Your library card is valid for longer"),
        Kind.NEW_CARD: _("You gave another library card"),
        Kind.NEW_CARD_DROPPED: _("You took the other card back"),
        Kind.STARTED: _("You went to the courses for the first time"),
        Kind.PRIORITY_GIVEN: _("You got priority in the queue"),
        Kind.PRIORITY_TAKEN: _("Your priority in the queue ended"),
        Kind.ACCOUNT_OPENED: _("Your account is ready"),
        Kind.SEAT_RENEWED: _("You renewed your place"),
        Kind.MERGED: _("Your two accounts became one"),
        Kind.ACCOUNT_CLOSED: _("Your account for the courses was closed"),
    }


def _refusal(reason: str) -> str:
    return str(Card.Refusal(reason).label) if reason in Card.Refusal.values else ""


def _ending(event: Event, enrollment: Enrollment) -> str:
    if event.reason == EndReason.TERM_OVER and enrollment.uncut_ends_at is not None:
        return _("Your place ended, because the programme has ended")
    words: dict[str, str] = {
        EndReason.GIVEN_BACK: _("You gave your place back"),
        EndReason.WITHDRAWN: _("You took back your application"),
        EndReason.TERM_OVER: _("Your place has run its full time"),
        EndReason.BY_STAFF: _("Your library ended your place"),
        EndReason.CARD_REFUSED: _("Your application ended"),
        EndReason.UNUSED: _("Your place ended, because it was not used"),
        EndReason.CARD_LAPSED: _("Your place ended, because your card was no longer valid"),
        EndReason.PROGRAMME_CLOSED: _("Your application ended, because the programme has ended"),
        EndReason.MERGED: _("Put together with your other application"),
        EndReason.NO_ACCOUNT: _("Your place ended, because your account could not be opened"),
        EndReason.ERASED: _("Your place ended, because your data are erased"),
    }
    return words.get(event.reason, _("Your place ended"))


# --- What is now, and what comes ---


def _ahead(enrollment: Enrollment, *, account: ProviderAccount | None, place: int | None) -> list[Step]:
    match enrollment.state:
        case State.ENDED:
            return []
        case State.SEATED:
            return [_account_step(enrollment, account)]
        case State.HELD:
            return [_held(enrollment), _later(_("You have a place")), _later(_("Your account is ready: start"))]
        case _:
            later = [_later(_("You get a place")), _later(_("Your account is ready: start"))]
            return [_passed_over(enrollment) if enrollment.passed_over else _waiting(enrollment, place), *later]


def _account_step(enrollment: Enrollment, account: ProviderAccount | None) -> Step:
    provider = {"provider": enrollment.pool.programme.provider.name}
    if account is not None and account.is_ready:
        return Step(Stage.NOW, _("You can start"), note=_("Choose your courses at %(provider)s.") % provider)
    if account is not None and account.stuck_at is not None:
        note = _("This is taking longer than usual. You do not have to do anything: we are looking into it.")
    elif account is not None and account.is_late(timezone.now()):
        note = _(
            "This is taking longer than usual. You keep your place, and you do not have to do anything: we keep trying."
            " We send you a mail as soon as you can start."
        )
    else:
        note = _("This takes a few minutes. We send you a mail as soon as you can start.")
    return Step(Stage.NOW, _("%(provider)s opens your account") % provider, note=note)


def _held(enrollment: Enrollment) -> Step:
    if proofs.asks_back(enrollment):
        note = _("Its system does not answer now. We keep trying, and write to you when it does.")
    elif proofs.card_to_prove(enrollment):
        note = _("Give the PIN of your card, and it is checked at once. Otherwise your library looks at it by hand.")
    else:
        note = _("You do not have to do anything. We send you a mail when it is done.")
    return Step(Stage.NOW, _checking(enrollment), note=note)


def _passed_over(enrollment: Enrollment) -> Step:
    note = _("You get a place as soon as your card is confirmed and a place is free. You keep your turn.")
    return Step(Stage.NOW, _checking(enrollment), note=note)


def _checking(enrollment: Enrollment) -> str:
    return _("%(library)s checks your card") % {"library": enrollment.share.institution.name}


def _waiting(enrollment: Enrollment, place: int | None) -> Step:
    words = _("You wait: you are number %(place)s in the queue") % {"place": place} if place else _("You wait")
    note = _("You do not have to do anything. We send you a mail when it is your turn.")
    return Step(Stage.NOW, words, note=note)


def _later(words: str) -> Step:
    return Step(Stage.LATER, words)
