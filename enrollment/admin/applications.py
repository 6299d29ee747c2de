from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from catalog import dates
from enrollment.admin import courses_followed
from enrollment.admin.desk import DeskAdmin
from enrollment.admin.disputes import DisputesView
from enrollment.admin.prioritizing import PriorityFilter
from enrollment.models import Enrollment
from enrollment.models.enrollment import EnrollmentQuerySet
from enrollment.reports import application, queue, workload
from libraries.admin_search import SessionSearchList
from libraries.models.card import erased_number
from libraries.scoped_admin import ScopedRelatedFilter, person


class TodoFilter(admin.SimpleListFilter):
    title = _("what has to be done")
    parameter_name = "todo"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("check", _("check the card")),
            ("dispute", _("settle who has the card")),
            ("lapsing", _("held place ends soon")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Enrollment]) -> QuerySet[Enrollment] | None:
        user = person(request)
        chosen = {
            "check": lambda: workload.to_check(user),
            "dispute": lambda: workload.disputed(user),
            "lapsing": lambda: workload.lapsing(Enrollment.objects.all(), now=timezone.now()),
        }.get(self.value() or "")
        return queryset.filter(pk__in=chosen().values("pk")) if chosen else queryset


class CardStateFilter(admin.ChoicesFieldListFilter):
    """Called after the card: the application has a state of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = str(_("card"))


class ApplicationList(SessionSearchList):
    def get_results(self, request: HttpRequest) -> None:
        """With the places in line of those on this page, and the card that this person looks at."""
        super().get_results(request)
        self.result_list = list(self.result_list)
        places = queue.places_of(self.result_list)
        for row in self.result_list:
            row.place = places.get(row.pk)
            row.shown_card = application.card_shown(row, person(request))


@admin.register(Enrollment)
class ApplicationAdmin(DeskAdmin):
    institution_path = "share__institution"
    list_display = ("member", "number", "library", "state", "card_state", "applied", "held_until", "place")
    list_filter = (
        TodoFilter,
        "state",
        PriorityFilter,
        ("card__state", CardStateFilter),
        ("card__library", ScopedRelatedFilter),
        ("pool__programme", ScopedRelatedFilter),
    )
    list_select_related = ("user", "card__library", "next_card__library", "share", "pool__programme")
    search_fields = ("user__first_name", "user__last_name", "user__email", "card__number", "next_card__number")
    search_help_text = _("A name, an email address or a card number. The list keeps it for a quarter of an hour.")
    fields = ("state",)
    change_form_template = "admin/application.html"
    change_list_template = "admin/applications.html"

    def within(self, rows: QuerySet[Enrollment], ids: Collection[int]) -> QuerySet[Enrollment]:
        assert isinstance(rows, EnrollmentQuerySet)
        return rows.of_institutions(ids)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ApplicationList]:
        return ApplicationList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Enrollment], search_term: str
    ) -> tuple[QuerySet[Enrollment], bool]:
        """Who was erased has nothing left to be found by, but the word that is shown instead."""
        words, is_erased = search_term.strip(), Q(card__number=erased_number("card_id"))
        if words.casefold() == gettext("erased"):
            return queryset.filter(is_erased), False
        found, has_doubles = super().get_search_results(request, queryset, search_term)
        return found.exclude(is_erased) if words else found, has_doubles

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The newest first; of what has to be done, what waits longest."""
        return ("applied_at", "pk") if TodoFilter.parameter_name in request.GET else ("-applied_at", "-pk")

    @admin.display(description=_("member"), ordering="user__last_name")
    def member(self, row: Enrollment) -> str:
        """Who was erased has neither a name nor an address that says anything."""
        return row.user.full_name or (row.user.email if row.user.is_active else str(_("erased")))

    @admin.display(description=_("card number"), ordering="card__number")
    def number(self, row: Any) -> str:
        return str(row.shown_card.shown_number)

    @admin.display(description=_("library"), ordering="card__library__name")
    def library(self, row: Any) -> str:
        return str(row.shown_card.library.name)

    @admin.display(description=_("card"), ordering="card__state")
    def card_state(self, row: Any) -> str:
        return str(row.shown_card.get_state_display())

    @admin.display(description=_("applied"), ordering="applied_at")
    def applied(self, row: Enrollment) -> str:
        return dates.written(localtime(row.applied_at), "j N Y, H:i")

    @admin.display(description=_("held until"), ordering="hold_until")
    def held_until(self, row: Enrollment) -> str | None:
        return dates.written(localtime(row.hold_until), "j N Y") if row.hold_until else None

    @admin.display(description=_("in line"))
    def place(self, row: Any) -> int | None:
        number: int | None = row.place
        return number

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(DisputesView.as_view(model_admin=self))
        disputes = path("disputes/", view, name="enrollment_enrollment_disputes")
        return [disputes, *courses_followed.addresses(self), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        extra = application.facts_of(row, person(request)) if isinstance(row, Enrollment) else {}
        return super().change_view(request, object_id, form_url, {**extra, **(extra_context or {})})
