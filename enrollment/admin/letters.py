from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from enrollment.admin.accounts import StuckFilter
from enrollment.models import Letter
from libraries.scoped_admin import ScopedAdmin


@admin.register(Letter)
class LetterAdmin(ScopedAdmin):
    """Which letter, owed since when and sent when; what it says, and to whom, is told by the application."""

    institution_path = "enrollment__share__institution"
    list_display = ("kind", "application", "owed_at", "sent_at", "attempts", "stuck_at")
    list_filter = (StuckFilter, "kind")
    ordering = ("-owed_at", "-pk")
    fields = ("kind", "application", "owed_at", "sent_at", "due_at", "attempts", "stuck_at", "trouble")
    readonly_fields = ("application",)

    @admin.display(description=_("application"), ordering="enrollment_id")
    def application(self, row: Letter) -> str:
        return f"#{row.enrollment_id}"
