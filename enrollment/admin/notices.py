from __future__ import annotations

from django.contrib import admin
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from enrollment.models import ProviderNotice
from enrollment.noticing import Outcome
from libraries.scoped_admin import CENTRAL, ScopedAdmin, ScopedRelatedFilter

OUTCOMES: dict[str, str | Promise] = {
    Outcome.LOOK: _("the account is looked at again"),
    Outcome.STUCK: _("somebody has to decide about the account"),
    Outcome.WAITS: _("the account was stuck already"),
    Outcome.USED: _("the place counts as used from then on"),
    Outcome.NOTED: _("nothing new"),
    Outcome.UNKNOWN: _("no account of ours"),
    Outcome.FAILED: _("given up: it failed again and again"),
    "": _("not worked on yet"),
}


@admin.register(ProviderNotice)
class NoticeAdmin(ScopedAdmin):
    """What providers told, for who follows them. Ids, codes and numbers: nobody's name."""

    institution_path = ""
    viewers = CENTRAL
    list_display = ("received_at", "provider", "kind", "came_of_it", "course_code", "percent")
    list_filter = ("kind", ("provider", ScopedRelatedFilter))
    list_select_related = ("provider",)
    ordering = ("-received_at", "-pk")
    fields = (
        *("provider", "notice_id", "kind", "occurred_at", "received_at", "external_id", "remote_id"),
        *("course_code", "percent", "came_of_it", "attempts", "trouble"),
    )
    readonly_fields = ("came_of_it",)

    @admin.display(description=_("what came of it"), ordering="outcome")
    def came_of_it(self, row: ProviderNotice) -> str:
        return str(OUTCOMES.get(row.outcome, row.outcome))
