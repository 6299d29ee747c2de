"""Single sign-on at a provider's platform without LTI: for operators to register. A secret is shown once."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _

from enrollment import signing_on
from enrollment.admin.registrations import RegistrationAdmin
from enrollment.models import SignOnClient
from enrollment.reports import tool_page
from enrollment.sign_on_forms import SignOnForm
from libraries.scoped_admin import person

_SECRET = "_secret_told_once"


@admin.register(SignOnClient)
class SignOnAdmin(RegistrationAdmin):
    form = SignOnForm
    list_display = ("provider", "is_on", "needs_pkce")
    list_select_related = ("provider", "client")
    change_form_template = "admin/sign_on.html"
    fields = ("provider", "redirect_uris", "needs_pkce", "is_on")

    def get_readonly_fields(self, request: HttpRequest, obj: SignOnClient | None = None) -> tuple[str, ...]:
        return ("provider",) if obj else ()

    def save_model(
        self, request: HttpRequest, obj: SignOnClient, form: forms.ModelForm[SignOnClient], change: bool
    ) -> None:
        by, now = person(request), timezone.now()
        if change:
            signing_on.save(obj, by=by, now=now, fields=form.changed_data)
        else:
            setattr(request, _SECRET, signing_on.register(obj, by=by, now=now))

    def response_add(
        self, request: HttpRequest, obj: SignOnClient, post_url_continue: str | None = None
    ) -> HttpResponse:
        return self._tell_once(request, obj, getattr(request, _SECRET))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.secret_view)
        return [path("<int:pk>/secret/", view, name="enrollment_signonclient_secret"), *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        facts = {"title": _("Register single sign-on"), "told": tool_page.told_for_sign_on(), "is_off": _is_off()}
        return super().add_view(request, form_url, {**facts, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        facts: dict[str, Any] = {"is_off": _is_off()}
        if isinstance(row, SignOnClient):
            facts |= {"title": row.provider.name, "subtitle": None, "told": tool_page.told_for_sign_on(row.client_id)}
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    def secret_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        row: SignOnClient = self.asked_by_who_may(request, pk, signing_on.may_change)
        if request.method != "POST":
            return HttpResponseRedirect(reverse("admin:enrollment_signonclient_change", args=[pk]))
        return self._tell_once(request, row, signing_on.renew_secret(row, by=person(request), now=timezone.now()))

    def _tell_once(self, request: HttpRequest, row: SignOnClient, secret: str) -> HttpResponse:
        """On this page, and kept by no browser."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("The secret, shown once"),
            "row": row,
            "told": [*tool_page.told_for_sign_on(row.client_id), (_("secret"), "client secret", secret)],
        }
        page = TemplateResponse(request, "admin/sign_on_secret.html", context)
        add_never_cache_headers(page)
        return page


def _is_off() -> bool:
    return not settings.IDP_OIDC_PRIVATE_KEYS
