"""The portal as an OpenID Connect provider, for providers' platforms that do not speak LTI. allauth makes and checks
codes and tokens; who is signed in where is decided here and in `signing_on` (docs/adr/0028).

Off without a key to sign with (SIGN_ON_KEY).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from allauth.core.internal.httpkit import extract_basic_auth
from allauth.idp.oidc import views as of_allauth
from allauth.idp.oidc.internal.oauthlib.server import get_server
from allauth.idp.oidc.models import Client, Token
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from enrollment import signing_on
from enrollment.models import SignOnClient
from enrollment.openid_provider import client_of
from enrollment.views.lti import language_of
from enrollment.views.signing_in import member_of, sign_in_for
from enrollment.views.starting import came_from_here
from libraries import limits
from libraries.accounts import network_of

logger = logging.getLogger(__name__)

# What may be asked with; whatever else is sent is not looked at.
PARAMETERS = (
    *("client_id", "redirect_uri", "response_type", "scope", "state", "nonce"),
    *("code_challenge", "code_challenge_method"),
)
_LONGEST, _LONGEST_QUERY = 1000, 3500
CODES_PER_MEMBER, MINUTE = 30, timedelta(minutes=1)
# Of a network only strangers count: a platform asks for all its members from one, and their places may end together.
MOST_REFUSED, HOUR = 300, timedelta(hours=1)
View = Callable[..., HttpResponse]


def _where_it_is_on(view: View) -> View:
    @functools.wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
        if not settings.IDP_OIDC_PRIVATE_KEYS:
            raise Http404
        return view(request, *args, **named)

    return wrapper


@_where_it_is_on
@require_safe
def configuration(_request: HttpRequest) -> HttpResponse:
    """OpenID Connect Discovery 1.0, 3: what is not here is not offered."""
    site = settings.SITE_URL
    answer = JsonResponse(
        {
            "issuer": site,
            "authorization_endpoint": f"{site}/openid/authorize",
            "token_endpoint": f"{site}/openid/token",
            "userinfo_endpoint": f"{site}/openid/userinfo",
            "jwks_uri": f"{site}/openid/keys.json",
            "scopes_supported": list(signing_on.SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": ["sub", "name", "given_name", "family_name", "locale", "email", "email_verified"],
        }
    )
    answer["Access-Control-Allow-Origin"] = "*"
    return answer


@_where_it_is_on
@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    answer: HttpResponse = of_allauth.jwks(request)
    return answer


@_where_it_is_on
@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def authorize(request: HttpRequest) -> HttpResponse:
    """OpenID Connect Core 1.0, 3.1.2. A form comes without the cookie of the session: it is asked to come by a link."""
    if request.method == "POST":
        query = request.POST.urlencode()
        if len(query) > _LONGEST_QUERY:
            return _unknown(request)
        return HttpResponseRedirect(f"{request.path}?{query}", status=HTTPStatus.SEE_OTHER)
    asked = {name: request.GET[name] for name in PARAMETERS if request.GET.get(name)}
    row = client_of(asked.get("client_id", ""))
    known = row is not None and asked.get("redirect_uri") in row.redirect_uris
    if row is None or not known or _repeated(request, "client_id", "redirect_uri"):
        return _unknown(request)
    if error := _flaw(request, asked, row):
        return _back(request, asked, row, error=error)
    if not request.user.is_authenticated:
        if request.GET.get("prompt") == "none":
            return _back(request, asked, row, error="login_required")
        with override(language_of(request)):
            return sign_in_for(f"{request.path}?{urlencode(asked)}")
    return _answer(request, asked, row)


def _answer(request: HttpRequest, asked: Mapping[str, str], row: SignOnClient) -> HttpResponse:
    now, user_id = timezone.now(), member_of(request).pk
    if signing_on.place_of(user_id, row.provider_id, now=now) is None:
        if request.GET.get("prompt") == "none":
            return _back(request, asked, row, error="access_denied")
        with override(language_of(request)):
            return render(request, "enrollment/openid_no_place.html", {"provider": row.provider}, status=403)
    if not limits.allow("sign-ons of", str(user_id), limit=CODES_PER_MEMBER, per=MINUTE, now=now):
        return _back(request, asked, row, error="temporarily_unavailable")
    scopes = [scope for scope in signing_on.SCOPES if scope in asked["scope"].split()]
    query = urlencode({**asked, "scope": " ".join(scopes)})
    headers, _body, _status = get_server().create_authorization_response(
        f"{request.path}?{query}", "GET", "", {}, scopes=scopes, credentials={"user": request.user}
    )
    return _on(request, headers["Location"], row)


def _flaw(request: HttpRequest, asked: Mapping[str, str], row: SignOnClient) -> str:
    """A code of RFC 6749, 4.1.2.1, or of OpenID Connect Core, 3.1.2.6; empty where nothing is wrong."""
    if _repeated(request, *PARAMETERS, "prompt") or any(len(value) > _LONGEST for value in asked.values()):
        return "invalid_request"
    if request.GET.get("request") or request.GET.get("request_uri"):
        return "request_not_supported" if request.GET.get("request") else "request_uri_not_supported"
    if asked.get("response_type") != "code" or request.GET.get("response_mode", "query") != "query":
        return "unsupported_response_type"
    if "openid" not in asked.get("scope", "").split():
        return "invalid_scope"
    method = asked.get("code_challenge_method", "")
    if ("code_challenge" in asked or method or row.needs_pkce) and not ("code_challenge" in asked and method == "S256"):
        return "invalid_request"
    # Nobody has a password here to be asked for again.
    if request.GET.get("prompt", "none") not in ("none", "consent") or "max_age" in request.GET:
        return "login_required"
    return ""


@_where_it_is_on
@csrf_exempt
@never_cache
@require_POST
def token(request: HttpRequest) -> HttpResponse:
    """RFC 6749, 3.2. Whoever is a stranger time and again waits, before the secret is looked at."""
    now, network = timezone.now(), network_of(request)
    if not limits.allow("refused sign-ons from", network, limit=MOST_REFUSED, per=HOUR, now=now):
        return _error("temporarily_unavailable", HTTPStatus.TOO_MANY_REQUESTS, **{"Retry-After": "3600"})
    answer: HttpResponse = _refusal(request) or of_allauth.token(request)
    if answer.status_code != HTTPStatus.UNAUTHORIZED:
        limits.give_back("refused sign-ons from", network, per=HOUR, now=now)
    if answer.status_code != HTTPStatus.OK:
        logger.warning("a token for single sign-on is refused")
    return answer


def _refusal(request: HttpRequest) -> HttpResponse | None:
    """What allauth would not refuse, or not always."""
    named = request.POST.get("client_id", "")
    shown, _secret = extract_basic_auth({"Authorization": request.headers.get("Authorization", "")})
    row = client_of(shown or named)
    if row is None or (shown and named and shown != named):
        return _error("invalid_client", HTTPStatus.UNAUTHORIZED)
    if _is_odd(request) or "resource" in request.POST:
        return _error("invalid_request")
    if any(len(request.POST.getlist(name)) > 1 or "\x00" in request.POST[name] for name in request.POST):
        return _error("invalid_request")
    grant, now = request.POST.get("grant_type"), timezone.now()
    if grant == Client.GrantType.AUTHORIZATION_CODE:
        return _unless_first("code", row.client_id, request.POST.get("code", ""))
    if grant != Client.GrantType.REFRESH_TOKEN:
        return _error("unsupported_grant_type")
    kept = Token.objects.filter(client_id=row.client_id)
    found = kept.lookup(Token.Type.REFRESH_TOKEN, request.POST.get("refresh_token", ""))
    if found and found.user_id and signing_on.place_of(found.user_id, row.provider_id, now=now) is None:
        kept.filter(user_id=found.user_id).delete()
        return _error("invalid_grant")
    return _unless_first("refresh", row.client_id, str(found.pk)) if found else None


def _is_odd(request: HttpRequest) -> bool:
    """Nothing is asked in an address, where oauthlib breaks on what it cannot read."""
    return bool(request.META.get("QUERY_STRING"))


def _unless_first(kind: str, client_id: str, shown: str) -> HttpResponse | None:
    """Of two that show the same at once, one gets a token."""
    first = limits.allow(f"{kind} of sign-on", client_id, shown, limit=1, per=HOUR, now=timezone.now())
    return None if first else _error("invalid_grant")


@_where_it_is_on
@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def userinfo(request: HttpRequest) -> HttpResponse:
    """OpenID Connect Core 1.0, 5.3."""
    if _is_odd(request):
        return _error("invalid_request")
    answer: HttpResponse = of_allauth.user_info(request)
    return answer


def _back(request: HttpRequest, asked: Mapping[str, str], row: SignOnClient, *, error: str) -> HttpResponse:
    logger.info("provider %s: a single sign-on is refused: %s", row.provider_id, error)
    state = asked.get("state", "")
    told = {"error": error} | ({"state": state} if 0 < len(state) <= _LONGEST else {})
    address = asked["redirect_uri"]
    return _on(request, f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(told)}", row)


def _on(request: HttpRequest, address: str, row: SignOnClient) -> HttpResponse:
    """After a form of ours a browser holds our policy about forms against a redirect to another site: then a page goes
    on by itself, or by its link."""
    if not came_from_here(request):
        answer = HttpResponse(status=HTTPStatus.FOUND)
        answer["Location"] = address
        return answer
    with override(language_of(request)):
        return render(request, "enrollment/openid_on.html", {"address": address, "provider": row.provider})


def _unknown(request: HttpRequest) -> HttpResponse:
    """A page of ours: nobody is sent to an address that nobody has registered."""
    logger.warning("a single sign-on is refused: no such client, or not this address")
    with override(language_of(request)):
        return render(request, "enrollment/lti_unknown.html", status=HTTPStatus.BAD_REQUEST)


def _repeated(request: HttpRequest, *names: str) -> bool:
    return any(len(request.GET.getlist(name)) > 1 for name in names)


def _error(code: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST, **headers: str) -> HttpResponse:
    return JsonResponse({"error": code}, status=status, headers={"Pragma": "no-cache", **headers})
