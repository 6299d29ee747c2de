"""Erase my data: what it does, then done; and the page that tells, by its code alone, what was erased."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from http import HTTPStatus
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from django.contrib import messages
from django.contrib.auth import logout
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from enrollment import erasing, seats, tasks
from enrollment.erase_plan import Plan
from enrollment.reports.certificate import certificate_of
from enrollment.views.signing_in import member_of, member_required
from libraries import accounts, limits
from libraries.models import User

# Whoever came in longer ago than this proves again who they are: a computer may have been left open.
FRESH_FOR = timedelta(minutes=15)
# From one network: a code cannot be guessed, so that this only keeps a machine from trying for ever.
WRONG_PER_NETWORK, HOUR = 30, timedelta(hours=1)


@member_required
def erase_me(request: HttpRequest) -> HttpResponse:
    """Whose data is never in the form: they are those of who is signed in."""
    member = member_of(request)
    try:
        plan = erasing.preview(user_id=member.pk, by=member)
    except erasing.CannotErase as error:
        return _page(request, obstacle=error.obstacle.label)
    if request.method != "POST":
        return _page(request, plan)
    if not _came_in_just_now(request, member):
        return _prove_again(request, member)
    return _erase(request, member, plan)


def _page(request: HttpRequest, plan: Plan | None = None, **more: object) -> HttpResponse:
    fresh = _came_in_just_now(request, member_of(request))
    context = {"plan": plan, "is_fresh": fresh, "overtaken": False, **more}
    return render(request, "enrollment/erase_me.html", context)


def _erase(request: HttpRequest, member: User, plan: Plan) -> HttpResponse:
    """Nothing else than what was shown."""
    shown, now = request.POST.get("expected", ""), timezone.now()
    try:
        erasure = erasing.ask(user_id=member.pk, by=member, now=now, expected=shown)
    except erasing.Overtaken as error:
        return _page(request, error.plan, overtaken=True)
    except erasing.CannotErase as error:
        return _page(request, obstacle=error.obstacle.label)
    except (OperationalError, seats.ChangedMeanwhile):
        messages.error(request, _("Somebody else is at work there. Try again in a minute."))
        return redirect("erase_me")
    tasks.ring()
    tasks.ring_for_erasures()
    logout(request)
    return redirect("certificate", erasure.code)


def _came_in_just_now(request: HttpRequest, member: User) -> bool:
    records = get_authentication_records(request, member)
    return any(time.time() - record["at"] < FRESH_FOR.total_seconds() for record in records)


def _prove_again(request: HttpRequest, member: User) -> HttpResponse:
    """By a code to their own address; whoever cannot read it is signed out, and that is all."""
    email, language, then = member.email, (get_language() or "nl")[:2], urlencode({"next": reverse("erase_me")})
    logout(request)
    try:
        accounts.send_code(request, email=email, language=language, now=timezone.now())
    except (accounts.TooManyCodes, accounts.CannotSend):
        messages.warning(request, _("We cannot send a code now. Please try again in a few minutes."))
        return redirect(f"{reverse('account_request_login_code')}?{then}")
    return redirect(f"{reverse('account_confirm_login_code')}?{then}")


@never_cache
def certificate(request: HttpRequest, code: str) -> HttpResponse:
    """For whoever has its address, without signing in. Wrong codes are counted before they are looked up."""
    network, now = accounts.network_of(request), timezone.now()
    if not _may_try(network, now):
        return render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    found = certificate_of(code)
    if found is None:
        raise Http404
    limits.give_back("certificates from", network, per=HOUR, now=now)
    erasure, places = found
    page = render(request, "enrollment/certificate.html", {"erasure": erasure, "places": places})
    page.headers["X-Robots-Tag"] = "noindex"
    return page


def _may_try(network: str, now: datetime) -> bool:
    return limits.allow("certificates from", network, limit=WRONG_PER_NETWORK, per=HOUR, now=now)
