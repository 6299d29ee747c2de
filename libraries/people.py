"""People who sign in, and those who asked for a code and never came."""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from libraries.models import User

STRANGER_FOR = timedelta(days=1)


def at(email: str, *, language: str) -> User:
    """The person with this address, made when there is none yet: known and unknown addresses go the same way."""
    address = email.strip().lower()
    try:
        return User.objects.get(email=address)
    except User.DoesNotExist:
        pass
    try:
        with transaction.atomic():
            return User.objects.create_user(address, language=language)
    except IntegrityError:  # asked for twice at once
        return User.objects.get(email=address)


def forget_strangers(*, now: datetime) -> int:
    """Erase people whose address was typed but never proved by a code; say how many."""
    strangers = User.objects.filter(last_login=None, date_joined__lt=now - STRANGER_FOR, is_staff=False, cards=None)
    # A closed account was somebody's.
    _all, by_model = strangers.filter(is_active=True).delete()
    return by_model.get(User._meta.label, 0)


def write_in(user: User, language: str) -> None:
    """The language of letters to this person."""
    user.language = language
    user.save(update_fields=["language"])
