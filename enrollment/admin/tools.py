"""A provider's tool (LTI 1.3): for operators to register, for coordinators to test, and to pick courses with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog.models import Tool
from enrollment import tool_checks
from enrollment.admin import picking
from enrollment.admin.registrations import RegistrationAdmin
from enrollment.launch import authorizing
from enrollment.reports import tool_page, tool_steps
from enrollment.tool_forms import ToolForm
from enrollment.views import allowing
from libraries.scoped_admin import person


@admin.register(Tool)
class ToolAdmin(RegistrationAdmin):
    form = ToolForm
    list_display = ("provider", "launch_url", "is_on")
    list_select_related = ("provider",)
    change_form_template = "admin/tool.html"
    fieldsets = (
        (None, {"fields": ("provider", "is_on")}),
        (_("What the provider gives you"), {"fields": ("login_url", "launch_url", "redirect_uris")}),
        (_("Its keys: an address, or the keys themselves"), {"fields": ("keyset_url", "keyset")}),
        (_("For picking courses"), {"fields": ("deep_linking_url",)}),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Tool | None = None) -> tuple[str, ...]:
        """What was agreed with one provider is nothing to another."""
        return ("provider",) if obj else ()

    def save_model(self, request: HttpRequest, obj: Tool, form: forms.ModelForm[Tool], change: bool) -> None:
        """Only what was changed here."""
        tool_checks.save(obj, by=person(request), now=timezone.now(), fields=form.changed_data if change else None)

    def get_urls(self) -> list[Any]:
        views: dict[str, Callable[..., HttpResponse]] = {
            "test/": self.test_view,
            "pick/": self.pick_view,
            "picked/<int:picking_id>/": self.picked_view,
        }
        ours = [
            path(f"<int:pk>/{way}", self.admin_site.admin_view(view), name=f"catalog_tool_{way.partition('/')[0]}")
            for way, view in views.items()
        ]
        return [*ours, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        facts = {"title": gettext("Register a tool"), "told": tool_page.told_before()}
        return super().add_view(request, form_url, {**facts, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        tool = self.get_object(request, object_id)
        facts = tool_page.facts_of(tool, by=person(request)) if isinstance(tool, Tool) else {}
        page = super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})
        # Where its button to pick courses leads to.
        return allowing.forms_to(authorizing.origins(tool), request, page) if isinstance(tool, Tool) else page

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        tool = self._asked_by_who_may(request, pk)
        return self.try_out(
            request,
            lambda: tool_steps.told(tool_checks.try_out(tool, by=person(request), now=timezone.now())),
            refused=tool_checks.Refused,
            template="admin/tool_test.html",
            title=gettext("Test of the tool"),
            tool=tool,
        )

    def pick_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return picking.start(request, self._asked_by_who_may(request, pk))

    def picked_view(self, request: HttpRequest, pk: int, picking_id: int) -> HttpResponse:
        return picking.show(self, request, self._asked_by_who_may(request, pk), picking_id)

    def _asked_by_who_may(self, request: HttpRequest, pk: int) -> Tool:
        tool: Tool = self.asked_by_who_may(request, pk, tool_checks.may_test)
        return tool
