"""The base of every admin in the workplace: what a person sees and does there follows from their roles alone.

Django's own permissions and groups play no part. Every admin says by which path its rows belong to an institution;
lists, object pages, choices in forms and in filters all go through that one queryset.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.core.exceptions import PermissionDenied
from django.db.models import Field, ForeignKey, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.text import capfirst

from libraries import admin_search, scoping
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


class ScopedRelatedFilter(admin.RelatedFieldListFilter):
    """Offers only rows that the person may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        related = model_admin.admin_site.get_model_admin(field.remote_field.model)
        return [(row.pk, str(row)) for row in related.get_queryset(request)]


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

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        if not self.has_view_permission(request):
            return rows.none()
        ids = scoping.institutions_of(person(request))
        return rows if ids is None or not self.institution_path else self.within(rows, ids)

    def within(self, rows: QuerySet[Any], ids: Collection[int]) -> QuerySet[Any]:
        """The rows that belong to these institutions."""
        return rows.filter(**{f"{self.institution_path}__in": ids})

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may(request, self.viewers)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may(request, self.changers)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request, self.adders)

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
        return without_links(super().formfield_for_dbfield(db_field, request, **kwargs))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only what the filters ask themselves: a longer path could go on from a row in sight to rows that are not."""
        return any(lookup in _asked_by(_parameter(each)) for each in self.list_filter)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """For those who may change the row: the admin's log names members of staff."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        return super().history_view(request, object_id, extra_context)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return admin_search.SessionSearchList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if request.method == "POST" and admin_search.WORDS in request.POST and self.has_view_permission(request):
            admin_search.remember(request, self.model)
            return HttpResponseRedirect(request.get_full_path())
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})


def may(request: HttpRequest, roles: Collection[str]) -> bool:
    """What nobody may do by hand, superusers may not either: there is an operation for it."""
    return bool(roles) and scoping.may(person(request), *roles)


def person(request: HttpRequest) -> User:
    """Who is at work; the workplace lets nobody else come this far."""
    assert isinstance(request.user, User)
    return request.user


def _parameter(list_filter: Any) -> str:
    """A filter class has a name of its own; the others are called after their field."""
    if isinstance(list_filter, type):
        return str(getattr(list_filter, "parameter_name", ""))
    return list_filter if isinstance(list_filter, str) else str(list_filter[0])


def _asked_by(path: str) -> Collection[str]:
    return (path, f"{path}__exact", f"{path}__isnull", f"{path}__id__exact")


def without_links(field: Any) -> Any:
    if field is not None and isinstance(field.widget, RelatedFieldWidgetWrapper):
        field.widget = field.widget.widget
    return field
