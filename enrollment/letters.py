"""Send the letters that are owed; what each says is written by `drafts`.

A letter is claimed under a lease, rendered and handed over outside any transaction, and noted as sent only while the
lease is still ours. Whoever is killed after handing it over sends it twice: both copies have the same Message-ID.
"""

from __future__ import annotations

import contextlib
import logging
import random
import smtplib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.db import transaction

from enrollment import drafts, history
from enrollment.models import Event, Letter
from libraries.models import User

logger = logging.getLogger(__name__)

# Longer than the mail server may take for one letter once it is connected (four answers, EMAIL_TIMEOUT each), and with
# the sweep after it within the minute in which a crash is repaired.
LEASE = timedelta(seconds=32)
MOST_ATTEMPTS = 20
_FIRST_WAIT, _LONGEST_WAIT = 60.0, 3600.0
# Tries that say nothing about the letter count no further than this: it reaches the longest wait, but never the end.
_PATIENT = 7


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
        message = drafts.compose(letter)
        if message is None:
            return {"due_at": None, "dropped_at": now(), "trouble": ""}
        _hand_over(message, letter, now)
    except drafts.NotYet:
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
        # A last look before the letter leaves: whoever slept past the lease must not send what another has sent.
        if Letter.objects.renew(letter, now=now(), lease=LEASE):
            connection.send_messages([message])
    finally:
        # The letter is sent or it is not; a goodbye that fails changes neither.
        with contextlib.suppress(OSError):
            connection.close()


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
    history.record(
        kind,
        now=now,
        by=by,
        enrollment=letter.enrollment,
        institution_id=letter.institution_id,
        pool_id=letter.pool_id,
        reason=letter.kind,
    )
    return True
