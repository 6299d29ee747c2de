from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import roster_uploading
from enrollment.admin.base import ask
from enrollment.admin_forms import RosterForm
from enrollment.reports.application import DECIDERS
from libraries import scoping
from libraries.models import Roster
from libraries.rosters import RejectionReason, Report, RosterRefused
from libraries.scoped_admin import ScopedAdmin, ScopedRelatedFilter, person

# A list with more mistakes than this is made again rather than read.
MOST_SHOWN = 500


@admin.register(Roster)
class RosterAdmin(ScopedAdmin):
    institution_path = "institution"
    list_display = ("imported_at", "institution", "accepted", "rejected", "by")
    list_filter = (("institution", ScopedRelatedFilter),)
    list_select_related = ("institution", "imported_by")
    ordering = ("-imported_at", "-pk")
    fields = ("institution", "imported_at", "by", "second_fact", "accepted", "rejected")
    readonly_fields = ("by",)
    change_list_template = "admin/rosters.html"
    change_form_template = "admin/roster.html"

    @admin.display(description=_("by"))
    def by(self, roster: Roster) -> str:
        someone = roster.imported_by
        return (someone.full_name or someone.email) if someone else str(_("the portal"))

    def has_upload_permission(self, request: HttpRequest) -> bool:
        return scoping.may(person(request), *DECIDERS)

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.upload_view)
        return [path("upload/", view, name="libraries_roster_upload"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        extra = {"may_upload": self.has_upload_permission(request), **(extra_context or {})}
        return super().changelist_view(request, extra)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        roster = self.get_object(request, object_id)
        extra = _rejections(roster.rejections) if isinstance(roster, Roster) else {}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})

    def upload_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_upload_permission(request):
            raise PermissionDenied
        form = RosterForm(request.POST or None, request.FILES or None, user=person(request))
        outcome: dict[str, Any] = {}
        if form.is_valid():
            report = _upload(request, form, outcome)
            if report and report.roster:
                messages.success(request, _("The list is imported."))
                return HttpResponseRedirect(reverse("admin:libraries_roster_change", args=[report.roster.pk]))
        page = {"template": "admin/roster_upload.html", **outcome}
        return ask(self, request, form, title=_("Upload a list of cards"), button=_("Send the file"), **page)


def _upload(request: HttpRequest, form: RosterForm, outcome: dict[str, Any]) -> Report | None:
    """What there is to tell goes into `outcome`; a file that is refused has changed nothing."""
    data = form.cleaned_data
    try:
        report = roster_uploading.upload(
            institution=data["institution"],
            source=data["file"].file,
            by=person(request),
            now=timezone.now(),
            dry_run=data["only_check"],
        )
    except RosterRefused as refused:
        form.add_error("file", refused.message)
        outcome.update(_rejections(refused.rejected))
        return None
    except roster_uploading.NotYours:
        raise PermissionDenied from None
    outcome.update(report=report, **_rejections(report.rejected))
    return report


def _rejections(pairs: Any) -> dict[str, Any]:
    shown = [(line, RejectionReason(code).label) for line, code in pairs[:MOST_SHOWN]]
    return {"rejections": shown, "more": max(0, len(pairs) - len(shown))}
