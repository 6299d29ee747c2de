"""Write the letters that are owed, and send them: one function for each kind says what it says now, or that it need not
be sent any more.

A letter is claimed under a lease, rendered and handed over outside any transaction, and noted as sent only while the
lease is still ours. Whoever is killed after handing it over sends it twice: both copies have the same Message-ID.
"""

from __future__ import annotations

import contextlib
import logging
import random
import re
import smtplib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from enrollment import history, renewing, waiting_list
from enrollment.models import Enrollment, Event, EventNote, Letter, ProviderAccount
from libraries.models import Card, User

logger = logging.getLogger(__name__)

# Longer than the mail server may take for one letter once it is connected (four answers, EMAIL_TIMEOUT each), and with
# the sweep after it within the minute in which a crash is repaired.
LEASE = timedelta(seconds=45)
MOST_ATTEMPTS = 20
_FIRST_WAIT, _LONGEST_WAIT = 60.0, 3600.0
# Tries that say nothing about the letter count no further than this: it reaches the longest wait, but never the end.
_PATIENT = 7

State = Enrollment.State


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a letter says now; its words are in templates/emails/<kind>.txt, for both its parts."""

    subject: str
    leads_to: str = "my_place"
    facts: dict[str, Any] = field(default_factory=dict)


class NotYet(Exception):
    """What the letter says is not true now, but will be again: it waits."""


class _Unreachable(Exception):
    """The mail server took no letter at all."""


def send_next(*, now: Callable[[], datetime]) -> bool:
    """Claim one due letter and send it; says whether there was one."""
    letter = Letter.objects.claim(now=now(), lease=LEASE)
    if letter is None:
        return False
    outcome = _stuck(letter, letter.trouble or "crashed", now()) if _is_spent(letter) else _send(letter, now)
    if not Letter.objects.publish(letter, **outcome):
        logger.warning("letter %s: somebody else has taken over, nothing is written", letter.pk)
    return True


def _is_spent(letter: Letter) -> bool:
    return letter.attempts > MOST_ATTEMPTS


def _send(letter: Letter, now: Callable[[], datetime]) -> dict[str, Any]:
    """The outcome to publish. Texts of errors may hold an address, so that only their kind is kept."""
    try:
        message = compose(letter)
        if message is None:
            return {"due_at": None, "dropped_at": now(), "trouble": ""}
        _hand_over(message, letter, now)
    except NotYet:
        return _later(letter, "not_true_yet", now(), counts=False)
    except _Unreachable:
        return _later(letter, "unreachable", now(), counts=False)
    except smtplib.SMTPRecipientsRefused as error:
        code = max((answer[0] for answer in error.recipients.values()), default=0)
        return (_stuck if code >= 500 else _later)(letter, f"recipient_{code}", now())
    except smtplib.SMTPResponseException as error:
        return _later(letter, f"answer_{error.smtp_code}", now())
    except Exception as error:  # whatever ails this letter, the others go on
        return _later(letter, type(error).__name__[:50], now())
    return {"due_at": None, "sent_at": now(), "trouble": ""}


def _hand_over(message: EmailMultiAlternatives, letter: Letter, now: Callable[[], datetime]) -> None:
    connection = mail.get_connection()
    try:
        try:
            connection.open()
        except OSError as error:
            raise _Unreachable from error
        if _renew(letter, now()):
            connection.send_messages([message])
    finally:
        # The letter is sent or it is not; a goodbye that fails changes neither.
        with contextlib.suppress(OSError):
            connection.close()


def _renew(letter: Letter, now: datetime) -> bool:
    """A last look before the letter leaves: whoever slept past the lease must not send what another has sent."""
    mine = Letter.objects.filter(pk=letter.pk, lease_token=letter.lease_token)
    return bool(mine.update(lease_until=now + LEASE))


def _later(letter: Letter, trouble: str, now: datetime, *, counts: bool = True) -> dict[str, Any]:
    if counts and letter.attempts >= MOST_ATTEMPTS:
        return _stuck(letter, trouble, now)
    logger.warning("letter %s, attempt %s: %s", letter.pk, letter.attempts, trouble)
    attempts = letter.attempts if counts else min(letter.attempts, _PATIENT)
    wait = min(_FIRST_WAIT * 2.0 ** (attempts - 1), _LONGEST_WAIT)
    wait *= random.uniform(0.75, 1.0)  # spreads the tries, guards nothing
    return {"due_at": now + timedelta(seconds=max(wait, _FIRST_WAIT)), "attempts": attempts, "trouble": trouble}


def _stuck(letter: Letter, trouble: str, now: datetime) -> dict[str, Any]:
    logger.error("letter %s is stuck: %s", letter.pk, trouble)
    return {"due_at": letter.due_at, "stuck_at": now, "trouble": trouble}


# --- By hand ---


def try_again(pk: int, *, by: User, now: datetime) -> bool:
    """A person asks for another try of a stuck letter, recorded; says whether it was stuck."""
    return _remedy(pk, Event.Kind.LETTER_RETRIED, Letter.debt(now), by=by, now=now)


def give_up(pk: int, *, by: User, now: datetime) -> bool:
    """A person decides that a stuck letter is not sent any more, recorded; says whether it was stuck."""
    given_up = {"due_at": None, "dropped_at": now, "stuck_at": None}
    return _remedy(pk, Event.Kind.LETTER_DROPPED, given_up, by=by, now=now)


@transaction.atomic
def _remedy(pk: int, kind: Event.Kind, changes: dict[str, Any], *, by: User, now: datetime) -> bool:
    stuck = Letter.objects.stuck().filter(pk=pk).select_related("enrollment__share")
    letter = stuck.select_for_update(no_key=True, of=("self",)).first()
    if letter is None:
        return False
    Letter.objects.filter(pk=pk).update(**changes)
    history.record(kind, now=now, by=by, enrollment=letter.enrollment, reason=letter.kind)
    return True


# --- Writing ---


def compose(letter: Letter) -> EmailMultiAlternatives | None:
    """The letter as it would be sent now, or None when it should not be sent any more. Raises NotYet."""
    enrollment = Enrollment.objects.select_related("user", "card__library", "pool__programme__provider").get(
        pk=letter.enrollment_id
    )
    if not enrollment.user.is_active:
        return None
    with override(enrollment.user.language):
        draft = _KINDS[Letter.Kind(letter.kind)](enrollment, letter)
        return None if draft is None else _message(letter, enrollment, draft)


def _message(letter: Letter, enrollment: Enrollment, draft: Draft) -> EmailMultiAlternatives:
    subject, language = _one_line(draft.subject), enrollment.user.language
    words = (
        _common(enrollment) | draft.facts | {"subject": subject, "link": _link(draft.leads_to), "language": language}
    )
    text, html = (_render(letter.kind, words, layout) for layout in ("emails/base.txt", "emails/base.html"))
    message = EmailMultiAlternatives(
        subject,
        re.sub(r"\n{3,}", "\n\n", text).strip() + "\n",
        to=[enrollment.user.email],
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
        "first_name": _one_line(enrollment.user.first_name),
        "programme": _one_line(programme.name),
        "provider": _one_line(programme.provider.name),
        "library": _one_line(enrollment.card.library.name),
        "enrollment": enrollment,
        "site": settings.SITE_URL,
        "help_link": _link("help"),
    }


def _link(name: str) -> str:
    """In the language of the letter; the site's address never comes from a request."""
    return f"{settings.SITE_URL}{reverse(name)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


# --- What each kind says ---


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


def _is_ready(enrollment: Enrollment) -> bool:
    provider_id = enrollment.pool.programme.provider_id
    account = ProviderAccount.objects.filter(user_id=enrollment.user_id, provider_id=provider_id).first()
    return account is not None and account.is_ready


_KINDS: dict[Letter.Kind, Callable[[Enrollment, Letter], Draft | None]] = {
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
}
