"""Single sign-on at a provider's platform (OpenID Connect): who may be signed in there now, and the registration.

Only whoever has a place there that is not over, and an account that is ready: asked before each answer, and again with
each token (docs/adr/0028).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Client, Token
from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.models import Programme
from enrollment import history, tool_checks
from enrollment.models import Enrollment, Event, ProviderAccount, SignOnClient
from enrollment.tool_checks import Flaw
from libraries import scoping
from libraries.models import StaffRole, User

SCOPES = ("openid", "profile", "email")
SIGN_ON = "sign_on"
Tells = Programme.Tells


class Obstacle(models.TextChoices):
    NOT_YOURS = "not_yours", _("Only operators do this.")
    UNUSABLE = "unusable", _("An address cannot be used.")


class Refused(Exception):
    def __init__(self, obstacle: Obstacle) -> None:
        super().__init__(obstacle)
        self.obstacle = obstacle


@dataclass(frozen=True)
class Place:
    """Of a member at a provider; `subject` is all that every platform is told."""

    user: User
    subject: UUID
    tells: str


def place_of(user_id: int, provider_id: int, *, now: datetime) -> Place | None:
    """None where there is none now; with two queries."""
    account = ProviderAccount.objects.filter(user_id=user_id, provider_id=provider_id).first()
    if account is None or not account.is_ready:
        return None
    seated = Enrollment.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now),
        user_id=user_id,
        user__is_active=True,
        pool__programme__provider_id=provider_id,
        state=Enrollment.State.SEATED,
    )
    latest = seated.select_related("user", "pool__programme").order_by("-seated_at", "-pk").first()
    return Place(latest.user, account.external_id, latest.pool.programme.tells) if latest else None


def user_of(subject: UUID, provider_id: int, *, now: datetime) -> User | None:
    """Whom a platform knows by this, if they have a place there now."""
    account = ProviderAccount.objects.filter(external_id=subject, provider_id=provider_id).first()
    place = place_of(account.user_id, provider_id, now=now) if account and account.user_id else None
    return place.user if place else None


def claims_of(place: Place, scopes: Collection[str]) -> dict[str, str | bool]:
    """What was asked for, and is told by the programme; the address was proved by a code."""
    user, claims = place.user, {"sub": str(place.subject)}
    told: dict[str, str | bool] = {}
    if "profile" in scopes and place.tells != Tells.PSEUDONYM:
        names = {"given_name": user.first_name, "family_name": user.last_name, "name": user.full_name}
        told |= {name: value for name, value in {**names, "locale": user.language}.items() if value}
    if "email" in scopes and place.tells == Tells.NAME_AND_MAIL:
        told |= {"email": user.email, "email_verified": True}
    return claims | told


# --- The registration ---


def may_change(user: User) -> bool:
    return scoping.may(user, StaffRole.Role.OPERATOR)


def flaw_of(redirect_uris: list[str]) -> Flaw | None:
    return tool_checks.flaw_of_addresses(redirect_uris)


@transaction.atomic
def register(row: SignOnClient, *, by: User, now: datetime) -> str:
    """A new one; its secret, which is told once. Raises Refused."""
    _check(row, by)
    secret = _secret()
    known = Client(name=f"provider {row.provider_id}", type=Client.Type.CONFIDENTIAL, skip_consent=True)
    known.set_secret(secret)
    known.set_scopes(list(SCOPES))
    known.set_response_types([Client.ResponseType.CODE])
    known.set_grant_types([Client.GrantType.AUTHORIZATION_CODE, Client.GrantType.REFRESH_TOKEN])
    known.set_redirect_uris(row.redirect_uris)
    known.save()
    row.client = known
    row.save()
    _record(row, "", by, now)
    return secret


@transaction.atomic
def save(row: SignOnClient, *, by: User, now: datetime, fields: Collection[str]) -> None:
    """These fields. Of one that is turned off, nobody stays signed in. Raises Refused."""
    if not fields:
        return
    _check(row, by)
    row.save(update_fields=fields)
    known = row.client
    known.set_redirect_uris(row.redirect_uris)
    known.save(update_fields=["redirect_uris"])
    if not row.is_on:
        Token.objects.filter(client=known).delete()
    _record(row, ", ".join(sorted(fields)), by, now)


@transaction.atomic
def renew_secret(row: SignOnClient, *, by: User, now: datetime) -> str:
    """Another secret, which is told once; the one before, and whatever was given for it, are good no more. Raises
    Refused."""
    _check(row, by)
    secret, known = _secret(), row.client
    known.set_secret(secret)
    known.save(update_fields=["secret"])
    Token.objects.filter(client=known).delete()
    _record(row, "secret", by, now)
    return secret


def forget(*, now: datetime) -> int:
    """Tokens that are good no more; says how many."""
    return int(Token.objects.filter(expires_at__lte=now).delete()[0])


def _check(row: SignOnClient, by: User) -> None:
    if not may_change(by):
        raise Refused(Obstacle.NOT_YOURS)
    if flaw_of(row.redirect_uris):
        raise Refused(Obstacle.UNUSABLE)


def _secret() -> str:
    return str(get_adapter().generate_client_secret())


def _record(row: SignOnClient, words: str, by: User, now: datetime) -> None:
    kind = Event.Kind.PROVIDER_CHANGED
    history.record(kind, now=now, by=by, provider_id=row.provider_id, reason=SIGN_ON, words=words)
