from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from enrollment.models import Share
from libraries.scoped_admin import ScopedAdmin, ScopedRelatedFilter


@admin.register(Share)
class ShareAdmin(ScopedAdmin):
    institution_path = "institution"
    list_display = ("institution", "programme", "floor", "ceiling", "taken")
    list_filter = (("pool__programme", ScopedRelatedFilter), ("institution", ScopedRelatedFilter))
    list_select_related = ("institution", "pool__programme")
    fields = ("institution", "programme", "floor", "ceiling", "taken")
    readonly_fields = ("programme",)
    ordering = ("institution__name", "pool_id")

    @admin.display(description=_("programme"), ordering="pool__programme__name")
    def programme(self, share: Share) -> str:
        return share.pool.programme.name
