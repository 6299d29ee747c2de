"""Write the letters: one function for each kind says what it says now, or that it need not be sent any more."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from enrollment import renewing, waiting_list
from enrollment.models import Enrollment, Event, EventNote, Letter, ProviderAccount
from libraries.models import Card

State = Enrollment.State


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a letter says now; its words are in templates/emails/<kind>.txt, for both its parts."""

    subject: str
    leads_to: str = "my_place"
    query: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class NotYet(Exception):
    """What the letter says is not true now, but will be again: it waits."""


def compose(letter: Letter) -> EmailMultiAlternatives | None:
    """The letter as it would be sent now, or None when it should not be sent any more. Raises NotYet."""
    if not letter.user.is_active:
        return None
    with override(letter.user.language):
        draft = _of_staff(letter) if letter.enrollment_id is None else _of_member(letter, letter.enrollment_id)
        return None if draft is None else _message(letter, draft)


def _of_member(letter: Letter, enrollment_id: int) -> Draft | None:
    rows = Enrollment.objects.select_related("user", "card__library", "share", "pool__programme__provider")
    enrollment = rows.get(pk=enrollment_id)
    draft = TO_MEMBERS[Letter.Kind(letter.kind)](enrollment, letter)
    return None if draft is None else replace(draft, facts=_common(enrollment) | draft.facts)


def _of_staff(letter: Letter) -> Draft | None:
    draft = TO_STAFF[Letter.Kind(letter.kind)](letter) if letter.user.is_staff else None
    return None if draft is None else replace(draft, facts={"to_staff": True} | draft.facts)


def _message(letter: Letter, draft: Draft) -> EmailMultiAlternatives:
    subject, language = _one_line(draft.subject), letter.user.language
    words = draft.facts | {
        "subject": subject,
        "language": language,
        "first_name": _one_line(letter.user.first_name),
        "link": _link(draft.leads_to) + draft.query,
        "site": settings.SITE_URL,
        "help_link": _link("help"),
    }
    text, html = (_render(letter.kind, words, layout) for layout in ("emails/base.txt", "emails/base.html"))
    message = EmailMultiAlternatives(
        subject,
        re.sub(r"\n{3,}", "\n\n", text).strip() + "\n",
        to=[letter.user.email],
        headers={
            "Message-ID": f"<letter-{letter.pk}-{letter.version}@{urlsplit(settings.SITE_URL).hostname}>",
            "Auto-Submitted": "auto-generated",
            "Content-Language": language,
        },
    )
    message.attach_alternative(html, "text/html")
    return message


def _render(kind: str, words: dict[str, Any], layout: str) -> str:
    return render_to_string(f"emails/{kind}.txt", words | {"layout": layout})


def _common(enrollment: Enrollment) -> dict[str, Any]:
    programme = enrollment.pool.programme
    return {
        "programme": _one_line(programme.name),
        "provider": _one_line(programme.provider.name),
        "library": _one_line(enrollment.card.library.name),
        "enrollment": enrollment,
    }


def _link(name: str) -> str:
    """In the language of the letter; the site's address never comes from a request."""
    return f"{settings.SITE_URL}{reverse(name)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- What each kind says to a member ---


def seat_given(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state != State.SEATED:
        return None
    return Draft(subject=_("You have a place"), facts={"ready": _is_ready(enrollment)})


def seat_held(enrollment: Enrollment, letter: Letter) -> Draft | None:
    return Draft(subject=_("A place is held for you")) if enrollment.state == State.HELD else None


def in_queue(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state != State.WAITING:
        return None
    return Draft(subject=_("You are in the queue"), facts={"place": waiting_list.place_of(enrollment)})


def card_confirmed(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Not sent where a seat came with it: the letter about that seat says it all."""
    told = enrollment.letters.filter(kind=Letter.Kind.SEAT_GIVEN).exists()
    if told or enrollment.state not in (State.SEATED, State.WAITING):
        return None
    seated = enrollment.state == State.SEATED
    return Draft(
        subject=_("Your card is confirmed: you have a place") if seated else _("Your card is confirmed"),
        facts={"seated": seated, "ready": _is_ready(enrollment), "place": waiting_list.place_of(enrollment)},
    )


def card_refused(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """With the words the librarian typed for this refusal, where there are any."""
    refusals = EventNote.objects.filter(event__enrollment_id=enrollment.pk, event__kind=Event.Kind.CARD_REFUSED)
    note = refusals.order_by("-event__at", "-event_id").first()
    facts = {"refusal": Card.Refusal(letter.reason), "Refusal": Card.Refusal, "words": note.words if note else ""}
    return Draft(subject=_("Your library could not confirm your card"), leads_to="join", facts=facts)


def hold_lapsed(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state != State.WAITING or not enrollment.passed_over:
        return None
    return Draft(subject=_("Your place is no longer held"))


def account_ready(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Only while the provider's last word is that the account is open."""
    if enrollment.state != State.SEATED:
        return None
    if not _is_ready(enrollment):
        raise NotYet
    return Draft(subject=_("Your account is ready: you can start"))


def term_ending(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Says whether it can be renewed as things are now."""
    found = renewing.obstacle(enrollment, now=timezone.now())
    if found == renewing.Obstacle.NO_PLACE or found == renewing.Obstacle.TOO_EARLY:
        return None
    facts = {"may_renew": found is None, "why_not": found.label if found else ""}
    soon = letter.kind == Letter.Kind.TERM_ENDS_SOON
    return Draft(subject=_("Your place ends in a week") if soon else _("Your place ends in a month"), facts=facts)


def seat_renewed(enrollment: Enrollment, letter: Letter) -> Draft | None:
    return Draft(subject=_("Your place is renewed")) if enrollment.state == State.SEATED else None


def seat_ended(enrollment: Enrollment, letter: Letter) -> Draft | None:
    withdrawn = letter.reason == Enrollment.EndReason.WITHDRAWN
    return Draft(
        subject=_("Your application has ended") if withdrawn else _("Your place has ended"),
        leads_to="join",
        facts={"reason": letter.reason, "EndReason": Enrollment.EndReason, "had_place": bool(enrollment.seated_at)},
    )


def merged(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Of the other account nothing is said: should it be somebody else's after all, its address is not for this one."""
    return Draft(subject=_("Your two accounts are one now"), facts={"email": letter.user.email})


def _is_ready(enrollment: Enrollment) -> bool:
    provider_id = enrollment.pool.programme.provider_id
    account = ProviderAccount.objects.filter(user_id=enrollment.user_id, provider_id=provider_id).first()
    return account is not None and account.is_ready


TO_MEMBERS: dict[Letter.Kind, Callable[[Enrollment, Letter], Draft | None]] = {
    Letter.Kind.SEAT_GIVEN: seat_given,
    Letter.Kind.SEAT_HELD: seat_held,
    Letter.Kind.IN_QUEUE: in_queue,
    Letter.Kind.CARD_CONFIRMED: card_confirmed,
    Letter.Kind.CARD_REFUSED: card_refused,
    Letter.Kind.HOLD_LAPSED: hold_lapsed,
    Letter.Kind.ACCOUNT_READY: account_ready,
    Letter.Kind.TERM_ENDING: term_ending,
    Letter.Kind.TERM_ENDS_SOON: term_ending,
    Letter.Kind.SEAT_RENEWED: seat_renewed,
    Letter.Kind.SEAT_ENDED: seat_ended,
    Letter.Kind.MERGED: merged,
}

# --- And to staff ---

TO_STAFF: dict[Letter.Kind, Callable[[Letter], Draft | None]] = {}
