"""Identities at other sites that people sign in with: whose one is, and how it gets attached to an account."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from allauth.socialaccount.models import SocialAccount
from django.db import IntegrityError, transaction

from libraries.models import StaffRole, User


@dataclass(frozen=True)
class Identity:
    """Somebody, as another site knows them. Issuer and subject say who; they alone are kept, in allauth's table, as
    `provider` and `uid`. The rest serves this one sign-in: an address is empty where none can be used."""

    issuer: str
    subject: str = field(repr=False)
    email: str = field(default="", repr=False)
    is_verified: bool = False
    first_name: str = field(default="", repr=False)
    last_name: str = field(default="", repr=False)

    @property
    def names(self) -> dict[str, str]:
        return {"first_name": self.first_name, "last_name": self.last_name}

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


class CannotAttach(Exception):
    """The account cannot have this identity."""


class NotForStaff(CannotAttach):
    """Who works here signs in with a password and a second factor."""


class Closed(CannotAttach):
    """The account is closed, or gone."""


class Taken(CannotAttach):
    """Another account has this identity."""


def is_staff(user: User) -> bool:
    return user.is_staff or user.is_superuser or StaffRole.objects.filter(user=user).exists()


def newcomer(identity: Identity, *, language: str) -> User | None:
    """A new account for an identity with a verified address; None where somebody has that address, or the identity,
    already: who that is has to be proved first."""
    assert identity.email
    assert identity.is_verified
    try:
        with transaction.atomic():
            user = User.objects.create_user(identity.email, language=language)
            SocialAccount.objects.create(user=user, provider=identity.issuer, uid=identity.subject)
    except IntegrityError:
        return None
    return user


@transaction.atomic
def attach(identity: Identity, *, user: User) -> None:
    """After the account was proved by a code; again for the same account changes nothing. Raises CannotAttach.

    Under the lock of the person's row: an account that is merged, closed or given to staff meanwhile is seen as such.
    """
    owner = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
    if owner is None or not owner.is_active:
        raise Closed
    if is_staff(owner):
        raise NotForStaff
    kept, _is_new = SocialAccount.objects.get_or_create(
        provider=identity.issuer, uid=identity.subject, defaults={"user": owner}
    )
    if kept.user_id != owner.pk:
        raise Taken


def detach(pk: int, *, user: User) -> bool:
    """Whether there was one: other people's are not there. Signing in with a code is always left."""
    deleted, _by_model = SocialAccount.objects.filter(pk=pk, user=user).delete()
    return bool(deleted)


def detach_all(user: User) -> None:
    SocialAccount.objects.filter(user=user).delete()


def hand_over(*, of: User, to: User) -> None:
    """For two accounts that become one."""
    SocialAccount.objects.filter(user=of).update(user=to)
