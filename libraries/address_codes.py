"""Codes that prove an address at the desk: the person reads them from the mail, the librarian types them. They let
nobody in."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.crypto import constant_time_compare, salted_hmac

from libraries import limits
from libraries.models import AddressCode, User

LASTS = timedelta(minutes=30)
# As for the codes to sign in (accounts), which have as many digits.
GUESSES_PER_CODE = 5


class NoLongerValid(Exception):
    """There is no code, it is too old, or too much was tried: a new one has to be sent."""


def renew(user: User, *, code: str, now: datetime) -> None:
    """This code from now on, and no other."""
    AddressCode.objects.update_or_create(user=user, defaults={"hashed": _hash(user, code), "sent_at": now})


def forget(user: User) -> None:
    AddressCode.objects.filter(user=user).delete()


def may_guess(user: User, *, now: datetime) -> bool:
    """Count a guess before it is compared. Call it outside a transaction."""
    sent_at = AddressCode.objects.filter(user=user).values_list("sent_at", flat=True).first()
    if sent_at is None:
        return False
    code = ("guesses at address code", str(user.pk), sent_at.isoformat())
    return limits.allow(*code, limit=GUESSES_PER_CODE, per=2 * LASTS, now=now)


@transaction.atomic
def prove(user_id: int, typed: str, *, now: datetime) -> bool:
    """Whether this is the code; the address is proved then, and the code is used up. A guess has been counted before.
    Raises NoLongerValid."""
    user = User.objects.select_for_update(no_key=True).get(pk=user_id)
    code = AddressCode.objects.filter(user=user, sent_at__gt=now - LASTS).first()
    if code is None or user.address_proved_at is not None:
        raise NoLongerValid
    if not constant_time_compare(code.hashed, _hash(user, typed)):
        return False
    code.delete()
    user.address_proved_at = now
    user.save(update_fields=["address_proved_at"])
    return True


def _hash(user: User, code: str) -> str:
    digits = "".join(character for character in code if character.isalnum())
    text = f"{user.pk}\0{user.email}\0{digits}"
    return salted_hmac("libraries.address_codes", text, algorithm="sha256").hexdigest()
