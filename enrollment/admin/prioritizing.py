from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from enrollment import prioritizing
from enrollment.admin import priorities
from enrollment.admin.base import Act, Text, act_on_each, ask, too_many
from enrollment.admin.deciding import DecidingAdmin, Rows, shown
from enrollment.admin_forms import PriorityForm, WhyForm
from enrollment.models import Enrollment
from libraries.scoped_admin import person


class PriorityFilter(admin.SimpleListFilter):
    title = _("priority")
    parameter_name = "priority"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("has priority"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Enrollment]) -> QuerySet[Enrollment]:
        return queryset.filter(priority=Enrollment.FIRST) if self.value() == "yes" else queryset


class PrioritizingAdmin(DecidingAdmin):
    actions = (*DecidingAdmin.actions, "give_priority", "take_priority_back")

    def get_urls(self) -> list[Any]:
        return [*priorities.addresses(self), *super().get_urls()]

    @admin.action(description=_("Give priority in the queue…"), permissions=["decide"])
    def give_priority(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        form, by = PriorityForm(request.POST if "apply" in request.POST else None), person(request)

        def give(pk: int) -> Text | None:
            reason, words = prioritizing.Reason(form.cleaned_data["reason"]), form.cleaned_data["words"]
            return _try(prioritizing.give, enrollment_id=pk, reason=reason, words=words, by=by)

        title = _("Give priority in the queue")
        return self._ask_and_act(request, rows, form, give, title=title, button=_("Give priority"), done=_given)

    @admin.action(description=_("Take the priority back…"), permissions=["decide"])
    def take_priority_back(self, request: HttpRequest, rows: Rows) -> HttpResponse | None:
        form, by = WhyForm(request.POST if "apply" in request.POST else None), person(request)

        def take(pk: int) -> Text | None:
            return _try(prioritizing.take_back, enrollment_id=pk, words=form.cleaned_data["words"], by=by)

        title = _("Take the priority back")
        return self._ask_and_act(request, rows, form, take, title=title, button=title, done=_taken)

    def _ask_and_act(
        self, request: HttpRequest, rows: Rows, form: Any, act: Act, *, title: Text, button: Text, done: Any
    ) -> HttpResponse | None:
        if too_many(request, rows.count()):
            return None
        if not form.is_valid():
            return ask(self, request, form, title=title, button=button, rows=shown(request, rows))
        act_on_each(request, rows.values_list("pk", flat=True).order_by("applied_at", "pk"), act, done=done)
        return None


def _try(operation: Any, **what: Any) -> Text | None:
    try:
        operation(now=timezone.now(), **what)
    except prioritizing.CannotGive as error:
        return error.obstacle.label
    return None


def _given(count: int) -> str:
    text = ngettext("%(count)d person has priority now.", "%(count)d people have priority now.", count)
    return text % {"count": count}


def _taken(count: int) -> str:
    text = ngettext("%(count)d person has no priority any more.", "%(count)d people have no priority any more.", count)
    return text % {"count": count}
