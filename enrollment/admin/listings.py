from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from catalog.models import Listing
from enrollment import rotating
from enrollment.admin.base import tell_when_busy
from enrollment.rotation_forms import ListingForm
from libraries.scoped_admin import CENTRAL, ScopedAdmin, ScopedRelatedFilter, person


@admin.register(Listing)
class ListingAdmin(ScopedAdmin):
    """One title at a time; the year ahead stands on the programme's own page. Nothing is deleted here: what has begun
    ends, and what was planned is withdrawn there."""

    form = ListingForm
    institution_path = ""
    viewers = CENTRAL
    changers = adders = rotating.EDITORS
    list_display = ("course", "in_programme", "role", "offered_from", "offered_until")
    list_display_links = ("course",)
    list_filter = (("programme", ScopedRelatedFilter), "role")
    list_select_related = ("course", "programme")
    search_fields = ("course__title", "course__code")
    ordering = ("-offered_from", "course__title")

    @admin.display(description=_("programme"), ordering="programme__name")
    def in_programme(self, row: Listing) -> str:
        address = reverse("admin:catalog_programme_rotation", args=[row.programme_id])
        return format_html('<a href="{}">{}</a>', address, row.programme.name)

    def get_readonly_fields(self, request: HttpRequest, obj: Listing | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        begun = obj.offered_from <= timezone.localdate()
        return ("course", "programme", "role", "offered_from") if begun else ("course", "programme")

    def get_form(self, request: HttpRequest, obj: Listing | None = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.by = person(request)
        return form

    def save_model(self, request: HttpRequest, obj: Listing, form: ListingForm, change: bool) -> None:
        programme, plan = form.plan()
        reason, by = form.cleaned_data["reason"], person(request)
        done = rotating.carry_out(programme_id=programme.pk, plan=plan, reason=reason, by=by, now=timezone.now())
        if done.outcome.come:
            obj.pk = done.outcome.come[0].listing_id

    @tell_when_busy
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Somebody else may have planned something in the moment between the check and the change."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except rotating.CannotPlan as error:
            messages.error(request, " ".join(error.words))
            return HttpResponseRedirect(request.get_full_path())
