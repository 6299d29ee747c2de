"""Sign in with an identity that the operator connected: to the provider, back from it, and the address to prove."""

from __future__ import annotations

from allauth.account.utils import get_login_redirect_url
from allauth.socialaccount.models import SocialApp
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from enrollment.views.signing_in import destination_of, mail_step, member_of, member_required
from libraries import arriving, identities, openid


@never_cache
def start(request: HttpRequest, provider_id: str) -> HttpResponse:
    """By a button only: a link from elsewhere signs nobody in."""
    if request.user.is_authenticated:
        return redirect(get_login_redirect_url(request))
    if provider_id not in [provider.id for provider in openid.providers()]:
        raise Http404
    if request.method != "POST":
        return redirect("account_request_login_code")
    return openid.start(request, provider_id, destination=destination_of(request), now=timezone.now())


@never_cache
def callback(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Back from the provider, at one address for all languages."""
    with override(openid.language_of(request)):
        if request.user.is_authenticated:
            return redirect("my_place")
        try:
            adapter = openid.OpenIDAdapter(request, provider_id)
            answer: HttpResponse = openid.Callback.adapter_view(adapter)(request)
        except SocialApp.DoesNotExist:
            raise Http404 from None
    return answer


@never_cache
def mail(request: HttpRequest) -> HttpResponse:
    """Whose account this identity is for: the address that proves it gets a code."""
    if request.user.is_authenticated:
        return redirect(get_login_redirect_url(request))
    identity = arriving.waiting(request)
    if identity is None:
        return redirect("account_request_login_code")
    template = "account/identity_mail.html"
    return mail_step(request, template=template, destination=destination_of(request), identity=identity)


@require_POST
@member_required
def disconnect(request: HttpRequest, pk: int) -> HttpResponse:
    if identities.detach(pk, user=member_of(request)):
        messages.success(request, _("You cannot sign in with it any more. A code by mail always works."))
    return redirect("my_place")
