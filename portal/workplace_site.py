from __future__ import annotations

from datetime import datetime
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.decorators import secure_admin_login
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.contrib.admin import AdminSite
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from enrollment.reports import workload
from enrollment.reports.application import DECIDERS
from enrollment.reports.audit import audit
from libraries import scoping
from libraries.models import User
from libraries.scoped_admin import ScopedAdmin

# Recovery codes alone are no second factor: they only stand in for one of these.
SECOND_FACTORS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
_ANSWER = "_workplace_second_factor"
# Not ours: a redirect to any object by its number, and a search through any related model.
_UNUSED = ("view_on_site", "autocomplete")


class WorkplaceSite(AdminSite):
    """Only for staff who used their second factor in this session, and only with admins that know about scope."""

    site_header = _("Leerkaart workplace")
    site_title = _("Leerkaart workplace")
    index_title = _("Workplace")
    enable_nav_sidebar = False

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Leaves out what installed apps bring along: those admins show every row to whoever may see one."""
        if admin_class is not None and issubclass(admin_class, ScopedAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def get_urls(self) -> list[Any]:
        return [url for url in super().get_urls() if getattr(url, "name", None) not in _UNUSED]

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and _used_second_factor(request)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Signing in is allauth's; whoever comes here signed in lacks the second factor, or is no staff (403)."""
        response: HttpResponse = never_cache(secure_admin_login(self._second_factor))(request)
        return response

    def _second_factor(self, request: HttpRequest) -> HttpResponse:
        target = _safe_target(request)
        if self.has_permission(request):
            return HttpResponseRedirect(target)
        context = {
            **self.each_context(request),
            "title": _("You need a second factor"),
            "has_factor": _has_second_factor(request),
            "target": target,
        }
        return TemplateResponse(request, "admin/second_factor.html", context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        return super().get_app_list(request, app_label) if self.has_permission(request) else []

    def get_log_entries(self, request: HttpRequest) -> QuerySet[LogEntry]:
        """Nobody's: what staff did with people is told by events, which are scoped."""
        return LogEntry.objects.none()

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        assert isinstance(request.user, User)
        now = timezone.now()
        context = {
            "work": workload.workload(request.user, now=now),
            "programmes": workload.programmes(request.user),
            "may_sign_up": scoping.may(request.user, *DECIDERS),
            **_findings(request.user, now),
            **(extra_context or {}),
        }
        return super().index(request, context)


def _findings(user: User, now: datetime) -> dict[str, Any]:
    """What the quick checks say: for who sees all institutions, since rows of any of them may be named."""
    central = scoping.institutions_of(user) is None
    findings = audit(now=now, slow=False) if central else None
    return {"findings": findings, "broken": [each for each in findings or [] if not each.holds]}


def _has_second_factor(request: HttpRequest) -> bool:
    return bool(is_mfa_enabled(request.user, SECOND_FACTORS))


def _used_second_factor(request: HttpRequest) -> bool:
    """Asked several times for one page, so the answer is kept with the request."""
    known = getattr(request, _ANSWER, None)
    if known is None:
        records = get_authentication_records(request, request.user)
        known = any(record.get("method") == "mfa" for record in records) and _has_second_factor(request)
        setattr(request, _ANSWER, known)
    return bool(known)


def _safe_target(request: HttpRequest) -> str:
    """Where the person wanted to go, when that is a page of the workplace and not this one."""
    target = request.GET.get("next", "")
    index = reverse("admin:index")
    ours = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if ours and target.startswith(index) and not target.startswith(reverse("admin:login")) else index
