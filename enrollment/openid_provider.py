"""What allauth asks the portal for as an OpenID Connect provider: who somebody is to a client, and what it is told."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from allauth.idp.oidc.adapter import DefaultOIDCAdapter
from allauth.idp.oidc.models import Client
from django.conf import settings
from django.utils import timezone
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidTokenError

from enrollment import signing_on
from enrollment.models import SignOnClient
from enrollment.signing_on import Place
from libraries.models import User


def client_of(client_id: str) -> SignOnClient | None:
    """One that is in use."""
    if not client_id or not client_id.isprintable():
        return None
    return SignOnClient.objects.select_related("client", "provider").filter(client_id=client_id, is_on=True).first()


class OIDCAdapter(DefaultOIDCAdapter):
    """Whoever has no place there any more is nobody, whatever was given before."""

    def generate_client_secret(self) -> str:
        """Of signs that mean nothing in an address: not every platform writes others as RFC 6749, 2.3.1, wants it."""
        return secrets.token_urlsafe(32)

    def get_issuer(self) -> str:
        return str(settings.SITE_URL)

    def get_user_sub(self, client: Client, user: Any) -> str:
        return str(self._place(client, user, InvalidGrantError).subject)

    def get_user_by_sub(self, client: Client, sub: str) -> User | None:
        row = client_of(client.id)
        try:
            return signing_on.user_of(UUID(sub), row.provider_id, now=timezone.now()) if row else None
        except ValueError:
            return None

    def get_claims(
        self,
        purpose: Any,
        user: Any,
        client: Client,
        scopes: Iterable[str],
        email: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        place = self._place(client, user, InvalidTokenError if purpose == "userinfo" else InvalidGrantError)
        return dict(signing_on.claims_of(place, set(scopes)))

    def _place(self, client: Client, user: User, refusal: type[Exception]) -> Place:
        row = client_of(client.id)
        place = signing_on.place_of(user.pk, row.provider_id, now=timezone.now()) if row and user else None
        if place is None:
            raise refusal
        return place
