"""The certificate of a finished course: its owner downloads it, and whoever is shown it checks its code."""

from __future__ import annotations

from datetime import datetime, timedelta
from http import HTTPStatus

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from enrollment import drawing_certificates, finishing
from enrollment.reports.courses_of_member import Certificate, certificate_with, facts_of_certificate
from enrollment.views.signing_in import member_of, member_required
from libraries import accounts, limits

# Wrong codes from one network; an office that checks many of them types few of them wrong.
WRONG_PER_NETWORK, HOUR = 30, timedelta(hours=1)
LONGEST_TYPED = 100


@require_safe
@member_required
def download(request: HttpRequest, pk: int) -> HttpResponse:
    """The file is called the same for everybody: what it is called may be seen by others."""
    facts = facts_of_certificate(member_of(request), pk)
    if facts is None:
        raise Http404
    return HttpResponse(
        drawing_certificates.draw(facts),
        content_type="application/pdf",
        headers={"Content-Disposition": 'attachment; filename="leerkaart.pdf"', "X-Robots-Tag": "noindex"},
    )


@require_safe
@never_cache
def ask(request: HttpRequest) -> HttpResponse:
    """Where a code is typed from paper."""
    typed = request.GET.get("code", "")[:LONGEST_TYPED].strip()
    if code := finishing.code_in(typed):
        return redirect("certificate_of_course", code)
    return _page(request, status=HTTPStatus.OK, typed=typed)


@require_safe
@never_cache
def check(request: HttpRequest, code: str) -> HttpResponse:
    """For whoever has the code, without signing in. Wrong codes are counted before they are looked up."""
    network, now = accounts.network_of(request), timezone.now()
    if not limits.allow("codes of courses from", network, limit=WRONG_PER_NETWORK, per=HOUR, now=now):
        return render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    found = certificate_with(code)
    if found is None:
        return _page(request, status=HTTPStatus.NOT_FOUND, typed=code[:LONGEST_TYPED])
    _was_right(network, now)
    return _page(request, found, status=HTTPStatus.OK)


def _was_right(network: str, now: datetime) -> None:
    limits.give_back("codes of courses from", network, per=HOUR, now=now)


def _page(
    request: HttpRequest, found: Certificate | None = None, *, status: HTTPStatus, typed: str = ""
) -> HttpResponse:
    context = {"certificate": found, "typed": typed}
    page = render(request, "enrollment/certificate_of_course.html", context, status=status)
    page.headers["X-Robots-Tag"] = "noindex"
    return page
