"""Sign-in with an identity of another site by OpenID Connect: allauth's flow, with stricter checks and our own answers.

Of what the other site tells, only who it is stays (`identities`). The rest waits in the session until the person is
signed in or asks for a code without it (`arriving`); no token is stored.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import statekit
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.base.constants import AuthError, AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Client, OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language, get_language_from_path, override

from libraries import arriving, identities, limits
from libraries.accounts import HOUR, network_of
from libraries.identities import Identity
from libraries.models import User
from libraries.openid_requests import BadAnswer, Exchange, NoAnswer
from libraries.openid_tokens import NotBelieved, claims_of

logger = logging.getLogger(__name__)

# Each asks the provider for something; a library's own computers share one network.
STARTS_PER_NETWORK = 200


class Trouble(StrEnum):
    """Why nobody was signed in, as templates/account/identity_trouble.html says it."""

    NO_ANSWER = "no_answer"
    BAD_ANSWER = "bad_answer"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    STALE = "stale"
    TOO_MANY = "too_many"
    STAFF = "staff"
    TAKEN = "taken"


STATUS = {
    Trouble.NO_ANSWER: HTTPStatus.SERVICE_UNAVAILABLE,
    Trouble.BAD_ANSWER: HTTPStatus.BAD_GATEWAY,
    Trouble.REFUSED: HTTPStatus.BAD_GATEWAY,
    Trouble.CANCELLED: HTTPStatus.OK,
    Trouble.STALE: HTTPStatus.BAD_REQUEST,
    Trouble.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS,
    Trouble.STAFF: HTTPStatus.FORBIDDEN,
    Trouble.TAKEN: HTTPStatus.CONFLICT,
}


def trouble_page(request: HttpRequest, found: Trouble, *, name: str, destination: str = "") -> HttpResponse:
    """`name` is the provider's; `destination` is where the person was going."""
    context = {"trouble": found, "name": name, "next": destination}
    return render(request, "account/identity_trouble.html", context, status=STATUS[found])


# --- Which providers there are ---


@dataclass(frozen=True)
class Provider:
    id: str
    name: str


def providers() -> list[Provider]:
    return [Provider(app["provider_id"], app["name"]) for app in _apps()]


def origins() -> list[str]:
    """Where a form that starts a sign-in may lead to."""
    return [origin for app in _apps() for origin in app["settings"]["origins"]]


def name_of(issuer: str) -> str:
    """As the operator calls it; of one that is connected no more, its host."""
    names = {app["settings"]["server_url"]: app["name"] for app in _apps()}
    return names.get(issuer) or urlsplit(issuer).hostname or issuer


def attached_to(user: User) -> list[tuple[int, str]]:
    """The identities that somebody signs in with: number and name."""
    rows = SocialAccount.objects.filter(user=user).order_by("date_joined", "pk").values_list("pk", "provider")
    return [(pk, name_of(issuer)) for pk, issuer in rows]


def _apps() -> list[Any]:
    configured: dict[str, Any] = settings.SOCIALACCOUNT_PROVIDERS
    return list(configured["openid_connect"]["APPS"])


# --- allauth's flow ---


class _Client(OAuth2Client):
    def get_redirect_url(self, authorization_url: str, scope: list[str], extra_params: dict[str, str]) -> str:
        """The provider's address may have a query of its own."""
        address, _, query = authorization_url.partition("?")
        url: str = super().get_redirect_url(address, scope, extra_params)
        return f"{url}&{query}" if query else url


class OpenIDAdapter(OpenIDConnectOAuth2Adapter):
    """What is asked of one provider for one page."""

    client_class = _Client
    nonce = ""

    def __init__(self, request: HttpRequest, provider_id: str) -> None:
        super().__init__(request, provider_id)
        self._exchange = Exchange()

    def get_callback_url(self, request: HttpRequest, app: SocialApp) -> str:
        """As it is registered at the provider, one for all languages; never made of what a request says."""
        with override(settings.LANGUAGE_CODE):
            return settings.SITE_URL + reverse("identity_callback", args=[self.provider_id])

    @cached_property
    def openid_config(self) -> dict[str, Any]:
        """Fetched when it is needed, so that the portal starts and runs while the provider is down. Its addresses are
        as safe as the provider's own."""
        issuer = self._issuer
        config = self._ask("GET", f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        addresses = [config.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        addresses += [config["userinfo_endpoint"]] if "userinfo_endpoint" in config else []
        safe = ("https://", f"{urlsplit(issuer).scheme}://")
        wrong = {
            "another issuer": config.get("issuer") != issuer,
            "unsafe addresses": not all(str(each).startswith(safe) for each in addresses),
            "no list": not isinstance(config.get("token_endpoint_auth_methods_supported", []), list),
        }
        if any(wrong.values()):
            raise OAuth2Error from BadAnswer(next(what for what, is_so in wrong.items() if is_so))
        return config

    def get_access_token_data(
        self, request: HttpRequest, app: SocialApp, client: OAuth2Client, pkce_code_verifier: str | None = None
    ) -> dict[str, Any]:
        asked = {
            "grant_type": "authorization_code",
            "code": request.GET["code"],
            "redirect_uri": client.callback_url,
            "code_verifier": pkce_code_verifier,
        }
        if self.basic_auth:
            return self._ask("POST", self.access_token_url, data=asked, auth=(app.client_id, app.secret))
        asked |= {"client_id": app.client_id, "client_secret": app.secret}
        return self._ask("POST", self.access_token_url, data=asked)

    def parse_token(self, data: dict[str, Any]) -> SocialToken:
        """It is used for this page and kept nowhere."""
        return SocialToken(token=str(data.get("access_token", "")))

    def complete_login(self, request: HttpRequest, app: SocialApp, token: SocialToken, **kwargs: Any) -> SocialLogin:
        keys = self._ask("GET", self.openid_config["jwks_uri"])
        given = kwargs["response"].get("id_token")
        try:
            claims = claims_of(given, keys, issuer=self._issuer, client_id=app.client_id, nonce=self.nonce)
        except NotBelieved as error:
            raise OAuth2Error from error
        identity = _identity(self._issuer, self._told(claims, token.token))
        account = SocialAccount(provider=identity.issuer, uid=identity.subject)
        login = SocialLogin(provider=self.get_provider(), account=account)
        login.identity = identity
        return login

    def _told(self, claims: dict[str, Any], token: str) -> dict[str, Any]:
        """Some tell the address in the token, others only when asked."""
        address = self.openid_config.get("userinfo_endpoint")
        if "email" in claims or not address:
            return claims
        told = self._ask("GET", str(address), headers={"Authorization": f"Bearer {token}"})
        if told.get("sub") != claims["sub"]:
            raise OAuth2Error from BadAnswer("another subject")
        return told

    @property
    def _issuer(self) -> str:
        return str(self.get_provider().app.settings["server_url"])

    def _ask(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        try:
            return self._exchange.document(method, address, **more)
        except BadAnswer as error:
            raise OAuth2Error from error


class _Provider(OpenIDConnectProvider):
    oauth2_adapter_class = OpenIDAdapter


def _identity(issuer: str, told: dict[str, Any]) -> Identity:
    return Identity(
        issuer=issuer,
        subject=told["sub"],
        email=_address(told.get("email")),
        # Some say it as a word; "false" is one too.
        is_verified=told.get("email_verified") in (True, "true"),
        first_name=_name(told.get("given_name")),
        last_name=_name(told.get("family_name")),
    )


def _address(told: object) -> str:
    address = told.strip().lower() if isinstance(told, str) else ""
    try:
        validate_email(address)
    except ValidationError:
        return ""
    return address if len(address) <= 254 else ""


def _name(told: object) -> str:
    name = " ".join(told.split()) if isinstance(told, str) else ""
    return name[:100] if name.isprintable() else ""


def start(request: HttpRequest, provider_id: str, *, destination: str, now: datetime) -> HttpResponse:
    """On to the provider. Raises SocialApp.DoesNotExist."""
    provider, nonce = SocialAccountAdapter(request).get_provider(request, provider_id), token_urlsafe(24)
    if not limits.allow("identities from", network_of(request), limit=STARTS_PER_NETWORK, per=HOUR, now=now):
        return _no_way(request, provider, Trouble.TOO_MANY, destination)
    language = get_language() or settings.LANGUAGE_CODE
    asked = {"nonce": nonce, "ui_locales": language}
    kept = {"nonce": nonce, "language": language}
    try:
        answer: HttpResponse = provider.redirect(
            request, AuthProcess.LOGIN, next_url=destination, auth_params=asked, **kept
        )
    except OAuth2Error as error:
        return _no_way(request, provider, _of(error), destination)
    return answer


class Callback(OAuth2CallbackView):
    """Back from the provider. The state in the session says that it was this browser that went there."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().dispatch(request, *args, **kwargs)  # type: ignore[no-any-return]
        except OAuth2Error as error:  # before allauth looks for one
            return _no_way(request, self.adapter.get_provider(), _of(error))

    def _get_state(self, request: HttpRequest, provider: _Provider) -> tuple[Any, HttpResponse | None]:
        state, answer = super()._get_state(request, provider)
        self.adapter.nonce = (state or {}).get("nonce", "")
        return state, answer


def language_of(request: HttpRequest) -> str:
    """Of the page that the person came from: the address that the provider sends them back to is the same for all.
    Without a sign-in that fits, of the address, and else of the last one that was begun here."""
    states = statekit.get_states(request)
    newest = max(states.values(), key=lambda stashed: stashed[1], default=None)
    fitting = states.get(request.GET.get("state", ""))
    begun = [stashed[0].get("language") for stashed in (fitting, newest) if stashed]
    chosen = begun[0] if fitting else get_language_from_path(request.path_info) or next(iter(begun), None)
    return chosen if chosen in dict(settings.LANGUAGES) else settings.LANGUAGE_CODE


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    def get_provider(self, request: HttpRequest, provider: str, client_id: str | None = None) -> _Provider:
        """Those of the environment alone: a row in the database opens no door."""
        for app in _apps():
            if app["provider_id"] == provider:
                return _Provider(request, app=SocialApp(provider="openid_connect", **app))
        raise SocialApp.DoesNotExist

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """An identity that is attached signs in, and so does a newcomer. All others prove an address first, and until
        then nobody can tell whether it is known here."""
        identity, user = sociallogin.identity, sociallogin.user
        if user is None and identity.email and identity.is_verified:
            user = identities.newcomer(identity, language=get_language() or settings.LANGUAGE_CODE)
            if user is not None:
                sociallogin.state.setdefault("next", reverse("join_card"))
        if user is None:
            arriving.let_wait(request, identity)
            destination = sociallogin.state.get("next")
            query = {"next": destination} if destination else None
            raise ImmediateHttpResponse(redirect(reverse("identity_mail", query=query)))
        if identities.is_staff(user):
            raise ImmediateHttpResponse(_no_way(request, sociallogin.provider, Trouble.STAFF))
        arriving.arrived(request, identity, user)
        sociallogin.user = user

    def on_authentication_error(
        self,
        request: HttpRequest,
        provider: _Provider,
        error: str = AuthError.UNKNOWN,
        exception: Exception | None = None,
        extra_context: dict[str, Any] | None = None,
    ) -> None:
        state = (extra_context or {}).get("state")
        if exception is not None:
            found = _of(exception)
        elif state is None:
            found = Trouble.STALE
        else:
            found = Trouble.CANCELLED if error == AuthError.CANCELLED else Trouble.REFUSED
        raise ImmediateHttpResponse(_no_way(request, provider, found, (state or {}).get("next", "")))


def _of(error: Exception) -> Trouble:
    logger.warning("An identity provider is not understood: %s", error.__cause__)
    return Trouble.NO_ANSWER if isinstance(error.__cause__, NoAnswer) else Trouble.BAD_ANSWER


def _no_way(request: HttpRequest, provider: _Provider, found: Trouble, destination: str = "") -> HttpResponse:
    logger.info("Sign-in with %s: %s", provider.app.provider_id, found)
    return trouble_page(request, found, name=provider.name, destination=destination)


def attach(request: HttpRequest, identity: Identity, *, user: User) -> HttpResponse | None:
    """After the right code; gives back the page that says why not, when it cannot be. That of a closed account is
    allauth's, which sees for itself."""
    try:
        identities.attach(identity, user=user)
    except identities.Closed:
        return None
    except identities.NotForStaff:
        return trouble_page(request, Trouble.STAFF, name=name_of(identity.issuer))
    except identities.Taken:
        return trouble_page(request, Trouble.TAKEN, name=name_of(identity.issuer))
    arriving.arrived(request, identity, user)
    return None
