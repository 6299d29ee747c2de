"""The sandbox's pages: the mailbox, the demo's staff with their codes of this moment, the demo's library cards."""

from __future__ import annotations

import time

from allauth.mfa import app_settings as mfa
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from libraries.models import StaffRole
from portal.sandbox.accounts import DEMO_ACCOUNTS, DEMO_CARDS
from portal.sandbox.library_page import cards_to_try, fault_form
from portal.sandbox.mail import Mail, read_mail
from portal.sandbox.only import refuse_outside_the_sandbox

refuse_outside_the_sandbox()

# So many are shown, and so many of the newest are looked through for one address.
SHOWN, SEARCHED = 50, 2000
# Letters are the one thing here with styles in their lines, as mail programs want them. Shown, they are cut off from
# everything else: no script, no picture, no form, no storage, nothing loaded from anywhere.
LETTER_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOES = {
    "confirmed": _("is confirmed at once"),
    "by_hand": _("a librarian has to look at it"),
    "expired": _("is no longer valid"),
}


@require_safe
@never_cache
def index(request: HttpRequest) -> HttpResponse:
    codes, seconds_left = _codes()
    labels = dict(StaffRole.Role.choices)
    context = {
        "staff": [(account, labels[account.role], codes[account.email]) for account in DEMO_ACCOUNTS],
        "seconds_left": seconds_left,
        "cards": [
            (card, DOES["by_hand" if not card.born else "confirmed" if card.valid else "expired"])
            for card in DEMO_CARDS
        ],
        "asked_cards": cards_to_try(),
        "fault_form": fault_form(),
    }
    return render(request, "sandbox/index.html", context)


@require_safe
@never_cache
def mailbox(request: HttpRequest) -> HttpResponse:
    to = request.GET.get("to", "").strip()
    mails = [(mail, _key(mail)) for mail in _mails(to)]
    return render(request, "sandbox/mail.html", {"mails": mails, "to": to})


@require_safe
@never_cache
def mail_as_html(request: HttpRequest, key: str) -> HttpResponse:
    for mail in read_mail(settings.SANDBOX_MAIL, SEARCHED):
        if _key(mail) == key and mail.html:
            return HttpResponse(mail.html, headers={"Content-Security-Policy": LETTER_POLICY})
    raise Http404


@require_safe
def platform(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(settings.SANDBOX_PLATFORM_URL)


@require_safe
@never_cache
def mail_json(request: HttpRequest) -> JsonResponse:
    """Newest first; `?to=` asks for the letters to one address."""
    mails = _mails(request.GET.get("to", "").strip())
    fields = [{"to": mail.to, "subject": mail.subject, "text": mail.text, "at": mail.at.isoformat()} for mail in mails]
    return JsonResponse(fields, safe=False)


@require_safe
@never_cache
def codes_json(request: HttpRequest) -> JsonResponse:
    codes, seconds_left = _codes()
    staff = [
        {"email": each.email, "password": each.password, "role": each.role, "code": codes[each.email]}
        for each in DEMO_ACCOUNTS
    ]
    return JsonResponse({"seconds_left": seconds_left, "staff": staff})


def _mails(to: str) -> list[Mail]:
    if not to:
        return read_mail(settings.SANDBOX_MAIL, SHOWN)
    return [mail for mail in read_mail(settings.SANDBOX_MAIL, SEARCHED) if mail.to.lower() == to.lower()][:SHOWN]


def _key(mail: Mail) -> str:
    """The moment of delivery names a letter for as long as it is kept."""
    return f"{mail.at:%Y%m%d%H%M%S%f}"


def _codes() -> tuple[dict[str, str], int]:
    """Every demo account's code of this moment, and for how many seconds it stays the one to type."""
    now = int(time.time())
    counter = now // mfa.TOTP_PERIOD
    codes = {each.email: format_hotp_value(hotp_value(each.totp_secret, counter)) for each in DEMO_ACCOUNTS}
    return codes, mfa.TOTP_PERIOD - now % mfa.TOTP_PERIOD
