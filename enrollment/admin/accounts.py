from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from enrollment import stuck
from enrollment.admin.base import ask
from enrollment.admin.stuck import Remedy, StuckAdmin, StuckFilter
from enrollment.admin_forms import WhyForm
from enrollment.models import ProviderAccount
from enrollment.reports import troubles
from libraries.scoped_admin import CENTRAL, Role, ScopedRelatedFilter, may


def _retried(count: int) -> str:
    text = ngettext("%(count)d account is tried again now.", "%(count)d accounts are tried again now.", count)
    return text % {"count": count}


def _given_up(count: int) -> str:
    text = ngettext(
        "%(count)d account is given up, and its place is free.",
        "%(count)d accounts are given up, and their places are free.",
        count,
    )
    return text % {"count": count}


def _marked(count: int) -> str:
    text = ngettext("%(count)d account is marked as done.", "%(count)d accounts are marked as done.", count)
    return text % {"count": count}


def _ask_before_giving_up(admin: StuckAdmin, request: HttpRequest, ids: list[int]) -> HttpResponse | dict[str, str]:
    """Nothing else is done than what was shown."""
    forecast = stuck.foresee(ids)
    if not forecast.rows or forecast.fingerprint == request.POST.get("expected"):
        return {}
    title, template = _("Give up and free the place"), "admin/give_up.html"
    shown = _shown(request, ids, forecast, template)
    return ask(admin, request, forms.Form(), title=title, button=title, **shown)


def _ask_before_marking(admin: StuckAdmin, request: HttpRequest, ids: list[int]) -> HttpResponse | dict[str, str]:
    """Nobody looks at the provider any more: who says that it is done answers for it, with a reason."""
    forecast = stuck.foresee_by_hand(ids)
    if not forecast.rows:
        return {"words": ""}  # the operation says why nothing is done
    form = WhyForm(request.POST if "expected" in request.POST else None)
    if forecast.fingerprint == request.POST.get("expected") and form.is_valid():
        return {"words": form.cleaned_data["words"]}
    title, button = _("Mark as done by hand"), _("Yes, it is done")
    shown = _shown(request, ids, forecast, "admin/mark_done.html")
    shown["rows"] = [(row, troubles.in_words(row.account.trouble)) for row in forecast.rows]
    return ask(admin, request, form, title=title, button=button, **shown)


def _shown(request: HttpRequest, ids: list[int], forecast: stuck.Forecast, template: str) -> dict[str, Any]:
    expected = request.POST.get("expected", forecast.fingerprint)
    return {
        "forecast": forecast,
        "overtaken": forecast.fingerprint != expected,
        "left_out": len(ids) - len(forecast.rows),
        "back": reverse("admin:enrollment_provideraccount_changelist") + "?stuck=yes",
        "template": template,
    }


class TroubleFilter(admin.SimpleListFilter):
    """Of those that are owed; offers the troubles there are."""

    title = _("what went wrong")
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        found = ProviderAccount.objects.owed().exclude(trouble="").order_by("trouble")
        return [(code, troubles.in_words(code)) for code in found.values_list("trouble", flat=True).distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(trouble=self.value(), due_at__isnull=False) if self.value() else queryset


@admin.register(ProviderAccount)
class AccountAdmin(StuckAdmin):
    """For who follows the providers. The list shows members as numbers: a name is only needed to look at one."""

    institution_path = ""
    viewers = CENTRAL
    healers = (Role.COORDINATOR, Role.OPERATOR)
    remedies = {
        "try_again": Remedy(_("Try again"), "refresh-cw", stuck.try_again, _retried),
        "give_up": Remedy(_("Give up and free the place…"), "x", stuck.give_up, _given_up, _ask_before_giving_up),
        "mark_done": Remedy(_("Mark as done by hand…"), "check", stuck.mark_done, _marked, _ask_before_marking),
    }
    list_display = ("account", "went_wrong", "stuck_at", "seen", "must_be_active", "attempts", "provider")
    list_filter = (StuckFilter, TroubleFilter, "seen", ("provider", ScopedRelatedFilter))
    list_select_related = ("provider",)
    ordering = ("-stuck_at", "-pk")
    fields = (
        *("member", "provider", "must_be_active", "must_be_erased", "seen", "seen_at", "erased_at"),
        *("external_id", "remote_id", "due_at", "attempts", "stuck_at", "went_wrong", "answer"),
    )
    readonly_fields = ("member", "external_id", "went_wrong")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What the provider answered is for who knows its protocol."""
        fields = super().get_fields(request, obj)
        return [name for name in fields if name != "answer" or may(request, (Role.OPERATOR,))]

    @admin.display(description=_("account"), ordering="pk")
    def account(self, row: ProviderAccount) -> str:
        return str(row)

    @admin.display(description=_("member"))
    def member(self, row: ProviderAccount) -> str:
        return f"{row.user.full_name} ({row.user.email})"

    @admin.display(description=_("what went wrong"), ordering="trouble")
    def went_wrong(self, row: ProviderAccount) -> str:
        return troubles.in_words(row.trouble)
