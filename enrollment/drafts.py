"""Write the letters: one function for each kind says what it says now, or that it need not be sent any more."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from enrollment import lapsing, renewing, starting, using, waiting_list
from enrollment.course_drafts import TO_LEARNERS
from enrollment.drafting import Draft, one_line
from enrollment.models import Enrollment, Erasure, Event, EventNote, Letter, ProviderAccount
from enrollment.reports import proofs
from enrollment.reports.prospect import prospect_of
from enrollment.staff_drafts import TO_STAFF
from libraries.models import Card, Doubt

State = Enrollment.State


class NotYet(Exception):
    """What the letter says is not true now, but will be again: it waits."""


def compose(letter: Letter) -> EmailMultiAlternatives | None:
    """The letter as it would be sent now, or None when it should not be sent any more. Raises NotYet."""
    if not letter.user.is_active and letter.kind != Letter.Kind.ERASURE_ASKED:
        return None
    with override(letter.user.language):
        draft = _of_staff(letter) if letter.enrollment_id is None else _of_member(letter, letter.enrollment_id)
        return None if draft is None else _message(letter, draft)


def _of_member(letter: Letter, enrollment_id: int) -> Draft | None:
    rows = Enrollment.objects.select_related("user", "share", "pool__programme__provider", *proofs.SYSTEMS)
    enrollment = rows.get(pk=enrollment_id)
    draft = TO_MEMBERS[Letter.Kind(letter.kind)](enrollment, letter)
    return None if draft is None else replace(draft, facts=_common(enrollment) | draft.facts)


def _of_staff(letter: Letter) -> Draft | None:
    draft = TO_STAFF[Letter.Kind(letter.kind)](letter) if letter.user.is_staff else None
    return None if draft is None else replace(draft, facts={"to_staff": True} | draft.facts)


def _message(letter: Letter, draft: Draft) -> EmailMultiAlternatives:
    subject, language = one_line(draft.subject), letter.user.language
    words = draft.facts | {
        "subject": subject,
        "language": language,
        # Who reads it may be a stranger, as long as the address is not proved.
        "first_name": one_line(letter.user.first_name) if letter.user.address_proved_at else "",
        "link": _link(draft.leads_to, *draft.arguments) + draft.query,
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
        "programme": one_line(programme.name),
        "provider": one_line(programme.provider.name),
        "library": one_line(enrollment.card.library.name),
        "enrollment": enrollment,
        # From then on nobody is asked to apply again, and what is given back is nobody else's.
        "closed": programme.is_closed_on(timezone.localdate()),
    }


def _link(name: str, *arguments: Any) -> str:
    """In the language of the letter; the site's address never comes from a request."""
    return f"{settings.SITE_URL}{reverse(name, args=arguments)}"


# --- What each kind says to a member ---


def seat_given(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state != State.SEATED:
        return None
    return Draft(subject=_("You have a place"), facts={"ready": _is_ready(enrollment)})


def seat_held(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state != State.HELD:
        return None
    return Draft(subject=_("A place is held for you"), facts={"asks_back": proofs.asks_back(enrollment)})


def in_queue(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state != State.WAITING:
        return None
    found = prospect_of(enrollment, now=timezone.now())
    expected = found.words if found and found.is_known else ""
    closes_on = enrollment.pool.programme.closes_on
    facts = {"place": found.place if found else None, "expected": expected, "closes_on": closes_on}
    asks_back = proofs.asks_back(enrollment)
    return Draft(subject=_("You are in the queue"), facts={**facts, "asks_back": asks_back})


def card_confirmed(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Not sent where a seat came with it: the letter about that seat says it all."""
    told = enrollment.letters.filter(kind=Letter.Kind.SEAT_GIVEN, owed_at__gte=letter.owed_at).exists()
    if told or enrollment.state not in (State.SEATED, State.WAITING):
        return None
    seated = enrollment.state == State.SEATED
    return Draft(
        subject=_("Your card is confirmed: you have a place") if seated else _("Your card is confirmed"),
        facts={"seated": seated, "ready": _is_ready(enrollment), "place": waiting_list.place_of(enrollment)},
    )


def card_refused(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """With the words the librarian typed for this refusal, where there are any."""
    facts = _refusal(enrollment, letter, Event.Kind.CARD_REFUSED)
    closed = enrollment.pool.programme.is_closed_on(timezone.localdate())
    leads_to = "my_place" if closed else "join"
    return Draft(subject=_("Your library could not confirm your card"), leads_to=leads_to, facts=facts)


def _refusal(enrollment: Enrollment, letter: Letter, kind: Event.Kind) -> dict[str, Any]:
    refusals = Event.objects.filter(enrollment_id=enrollment.pk, kind=kind, at__lte=letter.owed_at)
    refusal = refusals.order_by("-id").first()
    note = EventNote.objects.filter(event=refusal).first() if refusal else None
    return {"refusal": Card.Refusal(letter.reason), "Refusal": Card.Refusal, "words": note.words if note else ""}


def new_card_refused(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state == State.ENDED:
        return None
    facts = _refusal(enrollment, letter, Event.Kind.NEW_CARD_REFUSED) | {"until": _lapses_on(enrollment)}
    return Draft(subject=_("Your library could not confirm your other card"), facts=facts)


def card_changed(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state == State.ENDED:
        return None
    facts = {"seated": enrollment.state == State.SEATED, "held": enrollment.state == State.HELD}
    return Draft(subject=_("Your other card is confirmed"), facts=facts)


def card_to_prove(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Not sent to whoever came back by themselves, or where a librarian was quicker."""
    card = proofs.card_to_prove(enrollment)
    if card is None:
        return None
    facts = {"library": one_line(card.library.name), "State": State}
    return Draft(
        subject=_("Please give the PIN of your library card again"),
        leads_to="my_card_proof",
        arguments=(enrollment.pk,),
        facts=facts,
    )


def card_expired(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """With the day on which the place ends, where the programme takes it back."""
    card, until = enrollment.card, _lapses_on(enrollment)
    if card.is_valid_on(timezone.localdate()) or enrollment.state not in (State.SEATED, State.WAITING):
        return None
    if enrollment.state == State.SEATED and until is None:
        return None
    facts = {"card": card, "until": until, "says": letter.reason, "Says": Doubt.Says}
    return Draft(subject=_("Your library card is no longer valid"), facts=facts)


def _lapses_on(enrollment: Enrollment) -> date | None:
    """When a seat ends whose card has run out; never sooner after a letter of today than people are promised."""
    card, grace, today = enrollment.card, enrollment.pool.programme.card_grace_days, timezone.localdate()
    if enrollment.state != State.SEATED or grace is None or card.valid_until is None or card.is_valid_on(today):
        return None
    by_rule = card.valid_until + timedelta(days=grace + 1)
    return max(by_rule, today + lapsing.WARNED_BEFORE + timedelta(days=1))


def seat_unused(enrollment: Enrollment, letter: Letter) -> Draft | None:
    if enrollment.state != State.SEATED or enrollment.used_at is not None:
        return None
    until = timezone.localdate() + using.REMINDED_BEFORE
    return Draft(subject=_("Would you like to keep your place?"), facts={"until": until})


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


def programme_closes(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Says how things are now, also when the end was withdrawn; to those who wait, only while a place can come free."""
    programme, now = enrollment.pool.programme, timezone.now()
    closed = programme.is_closed_on(timezone.localdate(now))
    if enrollment.state == State.ENDED or (closed and enrollment.state == State.WAITING):
        return None
    ends, name = programme.closes_on is not None, {"programme": programme.name}
    facts = {
        "ends": ends,
        "closes_on": programme.closes_on,
        "seats_end_on": programme.seats_end_on,
        "confirm_until": min(filter(None, (enrollment.hold_until, programme.seats_end_at)), default=None),
        "may_renew": renewing.is_to_come(enrollment, now=now),
    }
    return Draft(subject=_("“%(programme)s” ends") % name if ends else _("“%(programme)s” goes on") % name, facts=facts)


def seat_ended(enrollment: Enrollment, letter: Letter) -> Draft | None:
    reason, closed = letter.reason, enrollment.pool.programme.is_closed_on(timezone.localdate())
    unseated = reason in (Enrollment.EndReason.WITHDRAWN, Enrollment.EndReason.PROGRAMME_CLOSED)
    unconfirmed = enrollment.hold_lapsed_at is not None and enrollment.card.state != Card.State.CONFIRMED
    return Draft(
        subject=_("Your application has ended") if unseated else _("Your place has ended"),
        leads_to="my_place" if closed else "join",
        facts={
            "reason": reason,
            "EndReason": Enrollment.EndReason,
            "had_place": bool(enrollment.seated_at),
            "unconfirmed": unconfirmed,
        },
    )


def address_to_prove(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """It says nothing about the person: somebody else may read it."""
    if letter.user.address_proved_at is not None or enrollment.state == State.ENDED:
        return None
    return Draft(
        subject=_("Is this your email address?"),
        leads_to="account_request_login_code",
        facts={"until": using.prove_until(enrollment)},
    )


def merged(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Of the other account nothing is said: should it be somebody else's after all, its address is not for this one."""
    return Draft(subject=_("Your two accounts are one now"), facts={"email": letter.user.email})


def erasure_asked(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """The last one: with the page that tells what was erased, which nobody finds without its address."""
    erasure = Erasure.objects.filter(user_id=letter.user_id, erased_here_at=None).first()
    if erasure is None:
        return None
    return Draft(
        subject=_("Your data are erased"),
        leads_to="certificate",
        arguments=(erasure.code,),
        facts={"by_staff": erasure.asked_by_id is not None},
    )


def course_finished(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Only while they still wish for such letters."""
    run = letter.course_run
    if run is None or run.completed_at is None or not letter.user.wants_course_letters:
        return None
    facts = {"course": one_line(run.course.title), "finished_at": run.completed_at}
    subject = _("You finished “%(course)s”") % {"course": facts["course"]}
    return Draft(subject=subject, leads_to="course_certificate", arguments=(run.pk,), facts=facts)


def course_reminder(enrollment: Enrollment, letter: Letter) -> Draft | None:
    """Only while the course can be started, and not where one about it left today already."""
    run = letter.course_run
    if run is None or run.completed_at is not None or _left_today(letter):
        return None
    found = starting.permit(user_id=letter.user_id, course=run.course, now=timezone.now())
    if found == starting.Obstacle.ACCOUNT_NOT_READY:
        raise NotYet
    if not isinstance(found, starting.Permit):
        return None
    course, begun = one_line(run.course.title), run.started_at is not None
    subject = _("Go on with “%(course)s”?") if begun else _("Start “%(course)s”?")
    last_day = found.until and found.until - timedelta(days=1)
    facts = {"course": course, "begun": begun, "last_day": last_day, "my_courses": _link("my_courses")}
    return Draft(subject=subject % {"course": course}, leads_to="course", arguments=(run.course.slug,), facts=facts)


def _left_today(letter: Letter) -> bool:
    same = Letter.objects.filter(kind=letter.kind, course_run=letter.course_run_id)
    return same.filter(sent_at__date=timezone.localdate()).exists()


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
    Letter.Kind.NEW_CARD_REFUSED: new_card_refused,
    Letter.Kind.CARD_CHANGED: card_changed,
    Letter.Kind.CARD_TO_PROVE: card_to_prove,
    Letter.Kind.CARD_EXPIRED: card_expired,
    Letter.Kind.SEAT_UNUSED: seat_unused,
    Letter.Kind.HOLD_LAPSED: hold_lapsed,
    Letter.Kind.ACCOUNT_READY: account_ready,
    Letter.Kind.TERM_ENDING: term_ending,
    Letter.Kind.TERM_ENDS_SOON: term_ending,
    Letter.Kind.SEAT_RENEWED: seat_renewed,
    Letter.Kind.SEAT_ENDED: seat_ended,
    Letter.Kind.PROGRAMME_CLOSES: programme_closes,
    Letter.Kind.MERGED: merged,
    Letter.Kind.ERASURE_ASKED: erasure_asked,
    Letter.Kind.ADDRESS_TO_PROVE: address_to_prove,
    Letter.Kind.ADDRESS_UNPROVED: address_to_prove,
    Letter.Kind.COURSE_FINISHED: course_finished,
    Letter.Kind.COURSE_REMINDER: course_reminder,
    **TO_LEARNERS,
}
