"""Where lists of cards are fetched from: set by operators, seen by librarians for their own institution."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import roster_fetching, tasks
from libraries.models import RosterSource
from libraries.scoped_admin import Role, ScopedAdmin, may, person
from libraries.settings_forms import RosterSourceForm


@admin.register(RosterSource)
class RosterSourceAdmin(ScopedAdmin):
    form = RosterSourceForm
    institution_path = "institution"
    changers = adders = (Role.OPERATOR,)
    list_display = ("institution", "way", "fetched_at", "went_wrong", "stopped_at")
    list_select_related = ("institution",)
    fields = ("institution", "way", "address", "login", "secret_name", "tried_at", "fetched_at", "went_wrong")
    readonly_fields = ("tried_at", "fetched_at", "went_wrong")
    change_form_template = "admin/roster_source.html"

    @admin.display(description=_("what went wrong"))
    def went_wrong(self, source: RosterSource) -> str:
        return roster_fetching.trouble_in_words(source.trouble)

    def get_readonly_fields(self, request: HttpRequest, obj: RosterSource | None = None) -> tuple[str, ...]:
        return ("institution", *self.readonly_fields) if obj else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: RosterSource, form: forms.ModelForm[Any], change: bool) -> None:
        """Only what was filled in: what a worker notes meanwhile stays."""
        fields = form.changed_data if change else None
        roster_fetching.save(obj, by=person(request), now=timezone.now(), fields=fields)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.allow_view)
        return [path("<int:pk>/allow/", view, name="libraries_rostersource_allow"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {"may_allow": may(request, [Role.OPERATOR]), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)

    def allow_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST" or not may(request, [Role.OPERATOR]):
            raise PermissionDenied
        if self.get_object(request, str(pk)) is None:
            raise Http404
        if roster_fetching.allow(source_id=pk, by=person(request), now=timezone.now()):
            messages.success(request, _("The list is fetched now, and taken if it is still the same one."))
            tasks.ring_for_rosters()
        else:
            messages.warning(request, _("No list was stopped."))
        return HttpResponseRedirect(reverse("admin:libraries_rostersource_change", args=[pk]))
