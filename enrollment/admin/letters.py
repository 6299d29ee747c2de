from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from enrollment.admin.accounts import StuckFilter
from enrollment.admin.base import link_to_application
from enrollment.models import Letter
from enrollment.reports import timeline
from libraries.scoped_admin import ScopedAdmin


@admin.register(Letter)
class LetterAdmin(ScopedAdmin):
    """Which letter, owed since when and sent when; what it says, and to whom, is told by the application."""

    institution_path = "enrollment__share__institution"
    list_display = ("kind", "application", "owed_at", "sent_at", "dropped_at", "attempts", "stuck_at", "went_wrong")
    list_filter = (StuckFilter, "kind")
    ordering = ("-owed_at", "-pk")
    fields = ("kind", "application", "owed_at", "sent_at", "dropped_at", "due_at", "attempts", "stuck_at", "went_wrong")
    readonly_fields = ("application", "went_wrong")

    @admin.display(description=_("application"), ordering="enrollment_id")
    def application(self, row: Letter) -> str:
        return link_to_application(row.enrollment_id)

    @admin.display(description=_("what went wrong"), ordering="trouble")
    def went_wrong(self, row: Letter) -> str:
        return timeline.letter_trouble(row.trouble)
