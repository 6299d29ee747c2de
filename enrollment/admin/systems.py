"""How library systems are asked: for operators to fill in, for librarians to see and to test."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters

from enrollment import system_checks
from enrollment.admin.base import ask
from enrollment.admin_forms import SystemTestForm
from enrollment.reports import system_steps
from libraries.cards.addresses import is_site
from libraries.models import Institution, LibrarySystem
from libraries.scoped_admin import Role, ScopedAdmin, person
from libraries.secrets import find_secret
from libraries.settings_forms import SystemForm

SIP2 = ("port", "tls", "encoding", "checksums", "institution_code", "location", "terminal_secret_name", "asks_expiry")


@admin.register(LibrarySystem)
class SystemAdmin(ScopedAdmin):
    form = SystemForm
    institution_path = "institution"
    changers = adders = (Role.OPERATOR,)
    list_display = ("institution", "way", "address", "secrets", "unanswered_since")
    list_select_related = ("institution",)
    ordering = ("institution__name",)
    change_form_template = "admin/system.html"
    fieldsets = (
        (None, {"fields": ("institution", "way", "address", "login", "secret_name", "secrets")}),
        (_("SIP2 only"), {"fields": SIP2}),
        (_("Koha only"), {"fields": ("oauth",)}),
        (_("What members are asked"), {"fields": ("asks_pin", "pin_name")}),
        (_("When it is slow or down"), {"fields": ("timeout_seconds", "most_connections", "when_down")}),
        (_("Proved cards, during the seat"), {"fields": ("recheck_days", "checks_per_minute")}),
    )
    readonly_fields = ("way", "secrets")

    def get_readonly_fields(self, request: HttpRequest, obj: LibrarySystem | None = None) -> tuple[str, ...]:
        """A system stays with its institution: its events and secrets are theirs."""
        return ("institution", *self.readonly_fields) if obj else self.readonly_fields

    @admin.display(description=_("how cards are checked"), ordering="institution__card_check")
    def way(self, system: LibrarySystem) -> str:
        return system.institution.get_card_check_display() if system.institution_id else ""

    @admin.display(description=_("secrets"))
    def secrets(self, system: LibrarySystem) -> str | None:
        """Whether what the row names is there; never what it is."""
        names = [name for name in (system.secret_name, system.terminal_secret_name) if name]
        there, missing = gettext("the secret is there"), gettext("the secret is missing")
        told = ((name, there if find_secret(name) else missing) for name in names)
        return format_html_join(", ", "{}: {}", told) or None

    def save_model(self, request: HttpRequest, obj: LibrarySystem, form: Any, change: bool) -> None:
        system_checks.save(obj, by=person(request), now=timezone.now(), fields=form.changed_data if change else None)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.test_view)
        return [path("<int:pk>/test/", view, name="libraries_librarysystem_test"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        system = self.get_object(request, object_id)
        extra = _offer(request, system) if isinstance(system, LibrarySystem) else {}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    @method_decorator(sensitive_post_parameters("number", "pin"))
    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        system = self.get_queryset(request).filter(pk=pk).first()
        if system is None:
            raise Http404
        if not system_checks.may_test(person(request), system.institution_id):
            raise PermissionDenied
        form = SystemTestForm(
            request.POST if request.method == "POST" else None,
            institution=system.institution,
            initial={"kind": _likely_kind(system)},
        )
        told = _test(request, system, form) if form.is_valid() else {}
        response = ask(
            self,
            request,
            form,
            title=gettext("Test of the library system"),
            button=gettext("Test it now"),
            back=reverse("admin:libraries_librarysystem_change", args=[pk]),
            template="admin/system_test.html",
            system=system,
            **told,
        )
        if form.has_error("__all__", system_checks.Obstacle.TOO_OFTEN):
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        return response


def _offer(request: HttpRequest, system: LibrarySystem) -> dict[str, Any]:
    may_test = system_checks.may_test(person(request), system.institution_id)
    return {"may_test": may_test, "likely_kind": _likely_kind(system), "subtitle": system.institution.name}


def _likely_kind(system: LibrarySystem) -> str:
    return Institution.CardCheck.KOHA if is_site(system.address) else Institution.CardCheck.SIP2


def _test(request: HttpRequest, system: LibrarySystem, form: SystemTestForm) -> dict[str, Any]:
    """What goes onto the page; a test that may not be made is told by the form."""
    told = form.cleaned_data
    try:
        walk = system_checks.try_out(
            system,
            by=person(request),
            now=timezone.now(),
            kind=told.get("kind", ""),
            number=told["number"],
            pin=told["pin"],
        )
    except system_checks.Refused as error:
        form.add_error(None, ValidationError(error.obstacle.label, code=error.obstacle))
        return {}
    return system_steps.told(walk)
