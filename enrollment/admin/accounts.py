from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from enrollment import provisioning
from enrollment.admin.base import Text, act_on_each, too_many
from enrollment.models import ProviderAccount
from enrollment.reports import timeline
from libraries import scoping
from libraries.scoped_admin import CENTRAL, Role, ScopedAdmin, ScopedRelatedFilter, person


class StuckFilter(admin.SimpleListFilter):
    title = _("stuck")
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("somebody has to look"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(stuck_at__isnull=False) if self.value() == "yes" else queryset


@admin.register(ProviderAccount)
class AccountAdmin(ScopedAdmin):
    """For who follows the providers. The list shows members as numbers: a name is only needed to look at one."""

    institution_path = ""
    viewers = CENTRAL
    list_display = ("account", "provider", "must_be_active", "seen", "seen_at", "attempts", "stuck_at", "went_wrong")
    list_filter = (StuckFilter, "seen", ("provider", ScopedRelatedFilter))
    list_select_related = ("provider",)
    ordering = ("-stuck_at", "-pk")
    fields = (
        *("member", "provider", "must_be_active", "seen", "seen_at", "external_id", "remote_id"),
        *("due_at", "attempts", "stuck_at", "went_wrong"),
    )
    readonly_fields = ("member", "external_id", "went_wrong")
    actions = ("try_again",)
    change_form_template = "admin/account.html"

    @admin.display(description=_("account"), ordering="pk")
    def account(self, row: ProviderAccount) -> str:
        return str(row)

    @admin.display(description=_("member"))
    def member(self, row: ProviderAccount) -> str:
        return f"{row.user.full_name} ({row.user.email})"

    @admin.display(description=_("what went wrong"), ordering="trouble")
    def went_wrong(self, row: ProviderAccount) -> str:
        return timeline.in_words(row.trouble)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return scoping.may(person(request), Role.COORDINATOR, Role.OPERATOR)

    @admin.action(description=_("Try again"), permissions=["retry"])
    def try_again(self, request: HttpRequest, rows: QuerySet[ProviderAccount]) -> None:
        if not too_many(request, rows.count()):
            retry_each(request, list(rows.values_list("pk", flat=True)))

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.retry_view)
        return [path("<int:pk>/retry/", view, name="enrollment_provideraccount_retry"), *super().get_urls()]

    def retry_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not self.has_retry_permission(request):
            raise PermissionDenied
        if self.get_object(request, str(pk)) is None:
            raise Http404
        if request.method == "POST":
            retry_each(request, [pk])
        return HttpResponseRedirect(reverse("admin:enrollment_provideraccount_change", args=[pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        extra = {"may_retry": self.has_retry_permission(request), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, extra)


def retry_each(request: HttpRequest, account_ids: list[int]) -> None:
    by = person(request)

    def retry(pk: int) -> Text | None:
        asked = provisioning.try_again(account_id=pk, by=by, now=timezone.now())
        return None if asked else _("It was not stuck.")

    act_on_each(request, account_ids, retry, done=_retried)


def _retried(count: int) -> str:
    text = ngettext("%(count)d account is tried again now.", "%(count)d accounts are tried again now.", count)
    return text % {"count": count}
