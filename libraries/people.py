"""People who sign in, and those who asked for a code and never came."""

from datetime import datetime, timedelta

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from libraries import address_codes, identities
from libraries.cards.roster import folded
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
            return User.objects.create_user(address, language=language, address_proved_at=None)
    except IntegrityError:  # asked for twice at once
        return User.objects.get(email=address)


def note_proved(user: User, *, email: str, now: datetime) -> None:
    """Who comes in with a code that was sent to `email` has proved that address, and no other that they have now."""
    User.objects.filter(pk=user.pk, email=email, address_proved_at=None).update(address_proved_at=now)


def doubt(user: User) -> None:
    """The address has to be proved again: whoever came in with it is signed out, and no identity opens the account."""
    identities.detach_all(user)
    user.address_proved_at = None
    user.set_unusable_password()  # another one than before: every session hangs on it
    user.save(update_fields=["address_proved_at", "password"])


def drop_stranger(email: str) -> None:
    """Whoever typed this address once and never proved it does not keep it from its owner."""
    _erase(_strangers().filter(email=email, address_proved_at=None))


def close(user: User) -> None:
    """Whoever is signed in is no longer, and nobody signs in any more."""
    user.is_active = False
    user.save(update_fields=["is_active"])


def forget(user: User) -> None:
    """Of the person only the number stays, the language and since when. What stands for the address is nobody's: no
    form takes it, and no mail can leave for it."""
    identities.detach_all(user)
    address_codes.forget(user)
    for model in (EmailAddress, Authenticator):
        model.objects.filter(user=user).delete()
    user.email = f"erased-{user.pk}@invalid"
    user.first_name = user.last_name = ""
    user.wants_course_letters = False
    user.password, user.last_login, user.address_proved_at = make_password(None), None, None
    user.is_active = False
    user.save()


def _strangers() -> QuerySet[User]:
    """A closed account was somebody's."""
    return User.objects.filter(last_login=None, is_staff=False, cards=None, is_active=True)


def is_called(user: User, first_name: str, last_name: str) -> bool:
    """Whether these are the person's names, however they are spelled."""
    return folded(user.full_name) == folded(f"{first_name} {last_name}")


def forget_strangers(*, now: datetime) -> int:
    """Erase people whose address was typed but never proved by a code; say how many."""
    return _erase(_strangers().filter(date_joined__lt=now - STRANGER_FOR))


@transaction.atomic
def _erase(found: QuerySet[User]) -> int:
    """Say how many. Looked at again once they are locked: who came in meanwhile is no stranger any more."""
    locked = [user.pk for user in found.select_for_update(of=("self",))]
    _all, by_model = _strangers().filter(pk__in=locked).delete()
    return by_model.get(User._meta.label, 0)


def write_in(user: User, language: str) -> None:
    """The language of letters to this person."""
    user.language = language
    user.save(update_fields=["language"])


def wish_course_letters(user: User, wanted: bool) -> None:
    """Letters about finished courses: to whoever asked for them, for as long as they do."""
    user.wants_course_letters = wanted
    user.save(update_fields=["wants_course_letters"])
