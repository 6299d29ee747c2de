from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import CharField, F, OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Concat, NullIf, Trim
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from enrollment.admin.base import link_to_application
from enrollment.models import Event
from enrollment.reports import timeline
from libraries.models import User
from libraries.scoped_admin import ScopedAdmin


@admin.register(Event)
class EventAdmin(ScopedAdmin):
    """What happened, for whoever has to account for it. A librarian sees those of their institution."""

    institution_path = "institution_id"
    list_display = ("at", "kind", "why", "who", "application", "old_value", "new_value")
    list_filter = ("kind",)
    ordering = ("-at", "-pk")
    fields = ("at", "kind", "why", "who", "application", "old_value", "new_value")
    readonly_fields = ("why", "who", "application")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Only staff by name; a member who acts is a number."""
        name = Trim(Concat("first_name", Value(" "), "last_name"))
        staff = User.objects.filter(pk=OuterRef("actor_id"), is_staff=True)
        named = staff.annotate(name=Coalesce(NullIf(name, Value("")), F("email"), output_field=CharField())).values(
            "name"
        )[:1]
        rows: QuerySet[Event] = super().get_queryset(request)
        return rows.annotate(staff=Subquery(named))

    @admin.display(description=_("why"), ordering="reason")
    def why(self, row: Event) -> str:
        return timeline.why(row)

    @admin.display(description=_("who"), ordering="actor_id")
    def who(self, row: Any) -> str:
        member = f"#{row.actor_id}" if row.actor_id else gettext("the portal")
        return str(row.staff or member)

    @admin.display(description=_("application"), ordering="enrollment_id")
    def application(self, row: Event) -> str:
        return link_to_application(row.enrollment_id)
