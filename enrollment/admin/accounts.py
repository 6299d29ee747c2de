from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from enrollment import stuck
from enrollment.admin.stuck import Remedy, StuckAdmin, StuckFilter
from enrollment.models import ProviderAccount
from enrollment.reports import timeline
from libraries.scoped_admin import CENTRAL, Role, ScopedRelatedFilter


def _retried(count: int) -> str:
    text = ngettext("%(count)d account is tried again now.", "%(count)d accounts are tried again now.", count)
    return text % {"count": count}


@admin.register(ProviderAccount)
class AccountAdmin(StuckAdmin):
    """For who follows the providers. The list shows members as numbers: a name is only needed to look at one."""

    institution_path = ""
    viewers = CENTRAL
    healers = (Role.COORDINATOR, Role.OPERATOR)
    remedies = {"try_again": Remedy(_("Try again"), "refresh-cw", stuck.try_again, _retried)}
    list_display = ("account", "provider", "must_be_active", "seen", "seen_at", "attempts", "stuck_at", "went_wrong")
    list_filter = (StuckFilter, "seen", ("provider", ScopedRelatedFilter))
    list_select_related = ("provider",)
    ordering = ("-stuck_at", "-pk")
    fields = (
        *("member", "provider", "must_be_active", "seen", "seen_at", "external_id", "remote_id"),
        *("due_at", "attempts", "stuck_at", "went_wrong"),
    )
    readonly_fields = ("member", "external_id", "went_wrong")

    @admin.display(description=_("account"), ordering="pk")
    def account(self, row: ProviderAccount) -> str:
        return str(row)

    @admin.display(description=_("member"))
    def member(self, row: ProviderAccount) -> str:
        return f"{row.user.full_name} ({row.user.email})"

    @admin.display(description=_("what went wrong"), ordering="trouble")
    def went_wrong(self, row: ProviderAccount) -> str:
        return timeline.in_words(row.trouble)
