"""Work that got stuck: where it is listed, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Protocol

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment.admin.base import Text, act_on_each, too_many
from libraries.models import User
from libraries.scoped_admin import NOBODY, ScopedAdmin, may, person


class Operation(Protocol):
    def __call__(self, pk: int, *, by: User, now: datetime) -> Text | None:
        """Says why the row was left as it was, or nothing."""


@dataclass(frozen=True)
class Remedy:
    label: Text
    icon: str
    operation: Operation
    done: Callable[[int], str]


class StuckFilter(admin.SimpleListFilter):
    title = _("stuck")
    parameter_name = "stuck"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("somebody has to look"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(stuck_at__isnull=False) if self.value() == "yes" else queryset


class StuckAdmin(ScopedAdmin):
    """Each of the `remedies` is an action of the list, and a button on the page of a row that is stuck."""

    remedies: ClassVar[dict[str, Remedy]] = {}
    healers: ClassVar[Collection[str]] = NOBODY
    change_form_template = "admin/stuck.html"

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        if may(request, self.healers):
            actions |= {name: (partial(_chosen, name), name, each.label) for name, each in self.remedies.items()}
        return actions

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.remedy_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_remedy"
        return [path("<int:pk>/remedy/<slug:remedy>/", view, name=name), *super().get_urls()]

    def remedy_view(self, request: HttpRequest, pk: int, remedy: str) -> HttpResponse:
        if not may(request, self.healers):
            raise PermissionDenied
        if remedy not in self.remedies or self.get_object(request, str(pk)) is None:
            raise Http404
        if request.method == "POST":
            self.remedy_each(request, [pk], remedy)
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[pk]))

    def remedy_each(self, request: HttpRequest, ids: Collection[int], name: str) -> None:
        """On rows that the person may see; each is looked at again before it is touched."""
        remedy, by = self.remedies[name], person(request)

        def act(pk: int) -> Text | None:
            return remedy.operation(pk, by=by, now=timezone.now())

        act_on_each(request, ids, act, done=remedy.done)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        offered = self.remedies if may(request, self.healers) else {}
        return super().change_view(request, object_id, form_url, {"remedies": offered, **(extra_context or {})})


def _chosen(name: str, admin: StuckAdmin, request: HttpRequest, rows: QuerySet[Any]) -> None:
    if not too_many(request, rows.count()):
        admin.remedy_each(request, list(rows.values_list("pk", flat=True)), name)
