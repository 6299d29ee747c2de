"""The base of every admin in the workplace: what a person sees and does there follows from their roles alone.

Django's own permissions and groups play no part. Every admin says by which path its rows belong to an institution;
lists, object pages, choices in forms and in filters all go through that one queryset.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Field, ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from libraries import scoping
from libraries.models import StaffRole, User

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Any]
else:
    Admin = admin.ModelAdmin

Role = StaffRole.Role
NOBODY: Collection[str] = ()
EVERYBODY: Collection[str] = tuple(Role)
# Those whose view is not limited to an institution.
CENTRAL: Collection[str] = (Role.COORDINATOR, Role.OPERATOR, Role.AUDITOR)
SEARCH_FOR = timedelta(minutes=15)
SEARCH_FIELD = "words"


class ScopedRelatedFilter(admin.RelatedFieldListFilter):
    """Offers only rows that the person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> list[tuple[Any, str]]:
        related = model_admin.admin_site.get_model_admin(field.remote_field.model)
        return [(row.pk, str(row)) for row in related.get_queryset(request)]


class SessionSearchList(ChangeList):
    """What was searched for comes from the session: a name or a card number has no place in an address."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        self.query = _searched(request, _search_key(self.model))
        return super().get_queryset(request, exclude_parameters)


class ScopedAdmin(Admin):
    """`institution_path` leads to the institution's id ("" for rows that belong to none, and are for all to see)."""

    institution_path: ClassVar[str]
    viewers: ClassVar[Collection[str]] = EVERYBODY
    changers: ClassVar[Collection[str]] = NOBODY
    adders: ClassVar[Collection[str]] = NOBODY
    list_per_page = 50
    list_max_show_all = 200
    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    actions: ClassVar[Any] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        ids = scoping.institutions_of(person(request))
        return (
            rows if ids is None or not self.institution_path else rows.filter(**{f"{self.institution_path}__in": ids})
        )

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return scoping.may(person(request), *self.viewers)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return scoping.may(person(request), *self.changers)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return scoping.may(person(request), *self.adders)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nothing is deleted by hand: it would take history with it."""
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def formfield_for_foreignkey(self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Choices, and so what a forged form may name, are what the person may see."""
        model = db_field.remote_field.model
        known = self.admin_site.is_registered(model)
        kwargs["queryset"] = (
            self.admin_site.get_model_admin(model).get_queryset(request) if known else model._default_manager.none()
        )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """Plain choices, without links to other forms in windows of their own."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        widget = getattr(field, "widget", None)
        if isinstance(widget, admin.widgets.RelatedFieldWidgetWrapper):
            field.widget = widget.widget
        return field

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only what the filters offer: other questions in an address could tell about rows that are out of sight."""
        offered = [
            each if isinstance(each, str) else each[0] for each in self.list_filter if not isinstance(each, type)
        ]
        return any(lookup == path or lookup.startswith(f"{path}__") for path in offered)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """For those who may change the row: the admin's log names members of staff."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return SessionSearchList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST" and SEARCH_FIELD in request.POST and self.has_view_permission(request):
            _remember(request, _search_key(self.model), request.POST[SEARCH_FIELD].strip())
            return HttpResponseRedirect(request.get_full_path())
        return super().changelist_view(request, extra_context)


def person(request: HttpRequest) -> User:
    """Who is at work; the workplace lets nobody else come this far."""
    assert isinstance(request.user, User)
    return request.user


def _search_key(model: type[Model]) -> str:
    return f"search {model._meta.label_lower}"


def _remember(request: HttpRequest, key: str, words: str) -> None:
    request.session[key] = [words[:100], (timezone.now() + SEARCH_FOR).isoformat()] if words else None


def _searched(request: HttpRequest, key: str) -> str:
    words, until = request.session.get(key) or ("", "")
    end = parse_datetime(until) if until else None
    return str(words) if end and end > timezone.now() else ""
