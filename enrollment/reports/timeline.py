"""What happened to one application, as staff read it: what, when, by whom and why, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from enrollment import (
    course_importing,
    erasing,
    merge_plan,
    prioritizing,
    registering,
    rotating,
    seats,
    signing_on,
    using,
)
from enrollment.models import Difference, Enrollment, Event, Letter, Reconciliation
from enrollment.reports import system_steps, tool_steps, troubles
from libraries.models import Card, Institution, User

# Codes of our own work with letters.
LETTER_TROUBLES = {
    "crashed": gettext_lazy("The work stopped again and again before it was done."),
    "not_true_yet": gettext_lazy("What the letter says is not true yet."),
    "unreachable": gettext_lazy("The mail server cannot be reached."),
}
_WORDS = {
    **{choice.value: choice.label for choice in Letter.Kind},
    **{choice.value: choice.label for choice in prioritizing.Reason},
    **{choice.value: choice.label for choice in merge_plan.Why},
    **{choice.value: choice.label for choice in erasing.Reason},
    **{choice.value: choice.label for choice in Institution.CardCheck},
    **{choice.value: choice.label for choice in Card.Refusal},
    **{choice.value: choice.label for choice in Enrollment.EndReason},
    "good": gettext_lazy("Everything works."),  # of the test of a provider
    **{choice.value: choice.label for choice in Difference.Kind},
    **{f"list_{choice.value}": choice.label for choice in Reconciliation.Doubt},
    "roster_source": gettext_lazy("source of a list of cards"),
    "doubts_believed": gettext_lazy("the library system was right"),
    "doubts_forgotten": gettext_lazy("the library system was wrong: the cards are asked about again"),
    "shrunk": gettext_lazy("it is much shorter than the one before"),
    "cards_gone": gettext_lazy("many proved cards are no longer on it"),
    registering.PICKED: gettext_lazy("picked at the provider"),
    signing_on.SIGN_ON: gettext_lazy("single sign-on"),
    using.PROGRESS: gettext_lazy("the provider told of progress in a course"),
    erasing.HERE: gettext_lazy("at Leerkaart"),
    erasing.EVERYWHERE: gettext_lazy("everywhere, also at the provider"),
    erasing.AGAIN: gettext_lazy("once more, because it had come back from a backup"),
    **{choice.value: choice.label for choice in rotating.What},
    **{choice.value: choice.label for choice in course_importing.Source},
    seats.WAS_HELD: gettext_lazy("it was held until then"),
}
_ASKED = (Event.Kind.SYSTEM_TESTED, Event.Kind.CARD_LOOKED_UP)


@dataclass(frozen=True)
class Line:
    at: datetime
    what: str
    who: str
    why: str
    words: str


def timeline(enrollment: Enrollment, *, of: Collection[int] | None = None) -> list[Line]:
    """In the order in which it happened, which is not always that of the times: somebody may have waited for a lock.
    Of these institutions only, where they are named; with two queries."""
    rows = Event.objects.filter(enrollment_id=enrollment.pk).select_related("note").order_by("id")
    events = list(rows if of is None else rows.filter(institution_id__in=of))
    names = names_of(event.actor_id for event in events)
    # Who applied may have had another account then.
    members = {enrollment.user_id, *(event.actor_id for event in events if event.kind == Event.Kind.APPLIED)}
    return [
        Line(
            event.at,
            event.get_kind_display(),
            _("the member") if event.actor_id in members else names.get(event.actor_id, _("the portal")),
            why(event),
            event.note.words if hasattr(event, "note") else "",
        )
        for event in events
    ]


def names_of(actors: Iterable[int | None]) -> dict[int | None, str]:
    """Names of staff; a person who is none, or is gone, is a number."""
    people = User.objects.filter(pk__in={actor for actor in actors if actor})
    return {each.pk: (each.full_name or each.email) if each.is_staff else str(each) for each in people}


def why(event: Event) -> str:
    if event.kind == Event.Kind.TOOL_TESTED:
        return tool_steps.in_words(event.reason)
    return system_steps.in_words(event.reason) if event.kind in _ASKED else in_words(event.reason)


def in_words(code: str) -> str:
    """A reason or a trouble; a code nobody has words for is shown as it is."""
    return str(_WORDS.get(code) or troubles.in_words(code))


def letter_trouble(code: str) -> str:
    if code.startswith("answer_"):
        return _("The mail server refuses the letter (%(code)s).") % {"code": code.removeprefix("answer_")}
    return str(LETTER_TROUBLES.get(code, code))
