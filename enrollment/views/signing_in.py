"""Sign in: members with a code sent by mail, staff with a password; who joins comes the same way as who is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from allauth.account import views as allauth_views
from allauth.account.stages import LoginByCodeStage, LoginStage
from allauth.account.utils import get_login_redirect_url, get_next_redirect_url
from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from enrollment import tasks
from enrollment.forms import CodeForm, EmailForm
from enrollment.templatetags.shelf import in_language
from enrollment.views import allowing
from libraries import accounts, openid
from libraries.identities import Identity
from libraries.models import User

View = Callable[..., HttpResponse]


def member_required(view: View) -> View:
    """Whoever is not signed in is asked for a code, not for a password, which members have none of."""
    inner = login_required(view, login_url="account_request_login_code")

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST" and not request.user.is_authenticated:
            return sign_in_for(_page_of(request))
        return inner(request, *args, **kwargs)

    return never_cache(wrapper)


def sign_in_for(page: str) -> HttpResponse:
    """On to signing in, and then to a page of ours. It must be one that stays here: from a form, and signing in ends
    with one, a browser follows no redirect to another site (form-action of our policy)."""
    return redirect_to_login(page, resolve_url("account_request_login_code"))


def _page_of(request: HttpRequest) -> str:
    """The page of ours on which a form was sent: what it was sent to may be no page."""
    came_from = page_named_by(request)
    if came_from.netloc != request.get_host():
        return reverse("my_place")
    return came_from._replace(scheme="", netloc="", fragment="").geturl()


def page_named_by(request: HttpRequest) -> SplitResult:
    """As the browser says (Referer); empty where that is no address."""
    try:
        return urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return urlsplit("")


def member_of(request: HttpRequest) -> User:
    """The person who is signed in: only for views behind `member_required`."""
    assert isinstance(request.user, User)
    return request.user


@never_cache
def mail(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect(get_login_redirect_url(request))
    return mail_step(request, template="account/request_login_code.html", destination=destination_of(request))


def mail_step(
    request: HttpRequest, *, template: str, destination: str, identity: Identity | None = None
) -> HttpResponse:
    """Ask for an email address, send a code to it, and go on to the page that asks for the code. With an identity, the
    code attaches it; without, the page offers to sign in with one."""
    form = EmailForm(request.POST or None, initial={"email": identity.email} if identity else None)
    trouble, status = "", HTTPStatus.OK
    if form.is_valid():
        trouble, status = _send(request, form, identity)
        if status == HTTPStatus.OK:
            return redirect(_with_next(reverse("account_confirm_login_code"), destination))
    offered = [] if identity else openid.providers()
    context = {"form": form, "trouble": trouble, "next": destination, "identity_providers": offered}
    context |= {"provider_name": openid.name_of(identity.issuer)} if identity else {}
    page = render(request, template, context, status=status)
    return allowing.forms_to(openid.origins(), request, page) if offered else page


def destination_of(request: HttpRequest) -> str:
    """Where the person was going, in the language of the page: it may have been switched on the way."""
    asked: str = get_next_redirect_url(request) or ""
    return in_language(asked, (get_language() or "nl")[:2]) if asked else ""


def _send(request: HttpRequest, form: EmailForm, identity: Identity | None) -> tuple[str, HTTPStatus]:
    email, language = form.cleaned_data["email"], (get_language() or "nl")[:2]
    try:
        accounts.send_code(request, email=email, language=language, now=timezone.now(), identity=identity)
    except accounts.TooManyCodes:
        words = _("You have asked for a code very often. Please wait an hour and try again.")
        return words, HTTPStatus.TOO_MANY_REQUESTS
    except accounts.AddressRefused:
        form.add_error("email", _("We cannot send mail to this address. Check how it is spelled."))
        return "", HTTPStatus.UNPROCESSABLE_ENTITY
    except accounts.CannotSend:
        words = _("We cannot send a code now. Please try again in a few minutes.")
        return words, HTTPStatus.SERVICE_UNAVAILABLE
    return "", HTTPStatus.OK


def _with_next(address: str, destination: str) -> str:
    return f"{address}?{urlencode({'next': destination})}" if destination else address


def _joins(destination: str) -> bool:
    return destination.startswith(reverse("join_card"))


def _start(destination: str, *, identity: bool = False) -> str:
    """Where a code is asked for: the first step of joining, the page to sign in, or that for an identity's address."""
    if identity:
        return _with_next(reverse("identity_mail"), destination)
    return _with_next(reverse("join" if _joins(destination) else "account_request_login_code"), destination)


class CodeView(allauth_views.ConfirmLoginCodeView):
    """allauth compares the code and signs in; the number of guesses is counted by us, exactly."""

    template_name = "account/confirm_login_code.html"
    # Another code is asked for at the page before, under the limits that hold there.
    _action = "verify"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.user.is_authenticated:
            return redirect(get_login_redirect_url(request))
        if accounts.resume(request) is None:
            return self._no_longer_valid()
        return super().dispatch(request, *args, **kwargs)  # type: ignore[no-any-return]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.POST.get("code", "").strip() and not accounts.may_guess(self._process, now=timezone.now()):
            return self._no_more_guesses()
        response: HttpResponse = super().post(request, *args, **kwargs)
        if request.user.is_authenticated:  # what waited for the address to be proved is due now
            tasks.ring()
        return response

    def get_form_class(self) -> type[CodeForm]:
        return CodeForm

    @transaction.atomic
    def form_valid(self, form: forms.Form) -> HttpResponse:
        """Under the lock of the person's row. With an identity, the account gets it before anybody is signed in, or
        nobody is."""
        if not accounts.still_goes_to_owner(self._process):
            self._process.abort()
            return self._no_longer_valid()
        identity = accounts.identity_of(self._process)
        refused = openid.attach(self.request, identity, user=self._process.user) if identity else None
        if refused is not None:
            self._process.abort()
            return refused
        return super().form_valid(form)  # type: ignore[no-any-return]

    def form_invalid(self, form: forms.Form) -> HttpResponse:
        if form.has_error("code", "incorrect") and not self._process.record_invalid_attempt():
            return self._no_more_guesses()
        return self.render_to_response(self.get_context_data(form=form))  # type: ignore[no-any-return]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        destination = destination_of(self.request)
        sent_at = datetime.fromtimestamp(self._process.state["at"], tz=UTC)
        more = {"next": destination, "joins": _joins(destination), "start": self._start, "sent_at": sent_at}
        return super().get_context_data(**kwargs) | more  # type: ignore[no-any-return]

    @property
    def _start(self) -> str:
        return _start(destination_of(self.request), identity=accounts.identity_of(self._process) is not None)

    def _no_longer_valid(self) -> HttpResponse:
        words = _("This code is no longer valid. Ask for a new one.")
        return self._start_again(words, _start(destination_of(self.request)))

    def _no_more_guesses(self) -> HttpResponse:
        self._process.abort()
        return self._start_again(_("That was the wrong code too many times. Ask for a new code."), self._start)

    def _start_again(self, words: str, address: str) -> HttpResponse:
        messages.warning(self.request, words)
        return redirect(address)


class PasswordView(allauth_views.LoginView):
    def _redirect_to_pending_stage(self, request: HttpRequest, stage: LoginStage) -> HttpResponse | None:
        """Who asked for a code and would rather use the password is not sent back to the code."""
        if stage.key == LoginByCodeStage.key:
            return None
        return super()._redirect_to_pending_stage(request, stage)  # type: ignore[no-any-return]


code = never_cache(CodeView.as_view())
password = PasswordView.as_view()


def _for_staff(view: View) -> View:
    """Members have no password: there is nothing for them here."""

    @login_required
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return view(request, *args, **kwargs) if member_of(request).is_staff else redirect("my_place")

    return sensitive_post_parameters("oldpassword", "password1", "password2")(wrapper)


password_change = _for_staff(allauth_views.password_change)
password_set = _for_staff(allauth_views.password_set)
