"""A training company's platform: for operators to fill in, for coordinators and auditors to see how it goes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog import line
from catalog.models import Provider
from enrollment import provider_checks, tasks
from enrollment.admin.registrations import RegistrationAdmin
from enrollment.provider_forms import ProviderForm
from enrollment.reports import provider_line, provider_page, provider_steps
from libraries.scoped_admin import Role, may, person
from libraries.secrets import find_secret

PLATFORM = ("name", "slug", "kind", "base_url", "start_url", "secret_name", "webhook_secret_name", "secrets")


@admin.register(Provider)
class ProviderAdmin(RegistrationAdmin):
    form = ProviderForm
    list_display = ("name", "kind", "state", "base_url")
    list_select_related = ("line",)
    change_form_template = "admin/provider.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> tuple[str, ...]:
        return ("slug", "secrets") if obj else ("secrets",)

    def get_fieldsets(self, request: HttpRequest, obj: Provider | None = None) -> Any:
        """The way past a refusal stands where there is one."""
        asked = obj is not None and self.has_change_permission(request, obj) and provider_checks.has_accounts(obj.pk)
        platform = (*PLATFORM[:4], "moved", *PLATFORM[4:]) if asked else PLATFORM
        return (
            (_("The platform"), {"fields": platform}),
            (_("How fast it may be asked"), {"fields": ("calls_per_second", "calls_at_once", "opens_first")}),
            (_("When its list is compared with ours"), {"fields": ("fuse_percent",)}),
        )

    def get_form(self, request: HttpRequest, obj: Provider | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if "moved" not in flatten_fieldsets(self.get_fieldsets(request, obj)):
            del form.base_fields["moved"]
        return form

    @admin.display(description=_("how it goes"))
    def state(self, provider: Provider) -> str:
        return provider_line.state(provider, now=timezone.now()).words

    @admin.display(description=_("secrets"))
    def secrets(self, provider: Provider) -> str | None:
        """Whether what the row names is there; never what it is."""
        names = [name for name in (provider.secret_name, provider.webhook_secret_name) if name]
        there, missing = gettext("the secret is there"), gettext("the secret is missing")
        told = ((name, there if find_secret(name) else missing) for name in names)
        return format_html_join(", ", "{}: {}", told) or None

    def save_model(self, request: HttpRequest, obj: Provider, form: forms.ModelForm[Provider], change: bool) -> None:
        """Only what was changed here. What kept it from answering may be over now: then it is tried at once."""
        now = timezone.now()
        fields = [name for name in form.changed_data if name != "moved"] if change else None
        moved = bool(form.cleaned_data.get("moved"))
        provider_checks.save(obj, by=person(request), now=now, fields=fields, moved=moved)
        is_down = change and provider_line.state(obj, now=now).is_down
        if is_down and provider_checks.WAY.intersection(form.changed_data) and line.retry_now(obj.pk, now=now):
            tasks.ring()

    def get_urls(self) -> list[Any]:
        views = {"test": self.test_view, "try-now": self.try_now_view}
        ours = [
            path(
                f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"catalog_provider_{name.replace('-', '_')}"
            )
            for name, view in views.items()
        ]
        return [*ours, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        provider = self.get_object(request, object_id)
        facts: dict[str, Any] = {}
        if isinstance(provider, Provider) and request.method == "GET":
            facts = provider_page.facts_of(provider, by=person(request), now=timezone.now())
        if isinstance(provider, Provider):
            facts |= {"title": provider.name, "subtitle": None}
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        provider = self.asked_by_who_may(request, pk, provider_checks.may_test)

        def attempt() -> dict[str, object]:
            steps = provider_checks.try_out(provider, by=person(request), now=timezone.now())
            return provider_steps.told(steps, with_answers=may(request, [Role.OPERATOR]))

        return self.try_out(
            request,
            attempt,
            refused=provider_checks.Refused,
            template="admin/provider_test.html",
            title=gettext("Test of the connection"),
            provider=provider,
        )

    def try_now_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        provider = self.asked_by_who_may(request, pk, provider_checks.may_test)
        if request.method == "POST":
            if line.retry_now(provider.pk, now=timezone.now()):
                messages.success(request, _("The provider is tried now."))
                tasks.ring()
            else:
                messages.warning(request, _("There was nothing to try: the provider works, or is being tried already."))
        return HttpResponseRedirect(reverse("admin:catalog_provider_change", args=[pk]))
