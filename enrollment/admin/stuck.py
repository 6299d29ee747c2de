"""Work that got stuck: where it is listed, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet, TextChoices
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment.admin.base import Text, act_on_each, too_many
from libraries.scoped_admin import NOBODY, ScopedAdmin, may, person

# Of a row's id, with `by` (a User), `now` and what they answered; says why the row was left as it was, or nothing.
Operation = Callable[..., TextChoices | None]
# Shows what would be done to these rows, and asks; once it was shown and the person wants it: what they answered, which
# the operation gets.
Asks = Callable[["StuckAdmin", HttpRequest, list[int]], HttpResponse | dict[str, str]]


@dataclass(frozen=True)
class Remedy:
    label: Text
    icon: str
    operation: Operation
    done: Callable[[int], str]
    asks: Asks | None = None


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
            actions |= {name: (_action(name), name, each.label) for name, each in self.remedies.items()}
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
        asked = self.remedy_each(request, [pk], remedy) if request.method == "POST" else None
        page = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return asked or HttpResponseRedirect(reverse(page, args=[pk]))

    def remedy_each(self, request: HttpRequest, ids: list[int], name: str) -> HttpResponse | None:
        """On rows that the person may see; each is looked at again before it is touched."""
        remedy, by = self.remedies[name], person(request)
        answers = remedy.asks(self, request, ids) if remedy.asks else {}
        if isinstance(answers, HttpResponse):
            return answers

        def act(pk: int) -> Text | None:
            obstacle = remedy.operation(pk, by=by, now=timezone.now(), **answers)
            return obstacle.label if obstacle else None

        act_on_each(request, ids, act, done=remedy.done)
        return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        offered = self.remedies if may(request, self.healers) else {}
        return super().change_view(request, object_id, form_url, {"remedies": offered, **(extra_context or {})})


def _action(name: str) -> Callable[[StuckAdmin, HttpRequest, QuerySet[Any]], HttpResponse | None]:
    def chosen(admin: StuckAdmin, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        if too_many(request, rows.count()):
            return None
        return admin.remedy_each(request, list(rows.order_by("pk").values_list("pk", flat=True)), name)

    return chosen
