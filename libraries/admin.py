from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from libraries import scoping
from libraries.models import Institution, Library, StaffRole, User
from libraries.scoped_admin import Role, ScopedAdmin, ScopedRelatedFilter, person, without_links
from libraries.settings_forms import InstitutionForm

if TYPE_CHECKING:
    Inline = admin.StackedInline[Any, Any]
    RoleModelForm = forms.ModelForm[StaffRole]
    UserModelForm = forms.ModelForm[User]
else:
    Inline, RoleModelForm, UserModelForm = admin.StackedInline, forms.ModelForm, forms.ModelForm


@admin.register(Institution)
class InstitutionAdmin(ScopedAdmin):
    form = InstitutionForm
    institution_path = "pk"
    changers = adders = (Role.OPERATOR,)
    list_display = ("name", "city", "card_check", "active_members")
    list_filter = ("card_check",)

    def get_readonly_fields(self, request: HttpRequest, obj: Institution | None = None) -> tuple[str, ...]:
        """The address of its pages does not change."""
        return ("slug",) if obj else ()


@admin.register(Library)
class LibraryAdmin(ScopedAdmin):
    institution_path = "institution"
    changers = adders = (Role.OPERATOR,)
    list_display = ("name", "postal_code", "city", "institution")
    list_filter = (("institution", ScopedRelatedFilter),)
    list_select_related = ("institution",)

    def get_readonly_fields(self, request: HttpRequest, obj: Library | None = None) -> tuple[str, ...]:
        """A library with cards cannot move to another institution: its cards count there."""
        return ("institution",) if obj else ()


class RoleForm(RoleModelForm):
    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("role") == Role.LIBRARIAN and not data.get("institution"):
            self.add_error("institution", _("A librarian works for an institution: choose it."))
        if data.get("role") not in (None, Role.LIBRARIAN) and data.get("institution"):
            self.add_error("institution", _("Only librarians have an institution: leave this empty."))
        return data


class RoleInline(Inline):
    model = StaffRole
    form = RoleForm
    extra = 1

    def formfield_for_choice_field(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        """An operator makes no operators: nobody can hand on what they have themselves."""
        if db_field.name == "role" and not person(request).is_superuser:
            kwargs["choices"] = [("", "---------"), *(pair for pair in Role.choices if pair[0] != Role.OPERATOR)]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        return without_links(super().formfield_for_dbfield(db_field, request, **kwargs))

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return scoping.may(person(request), Role.OPERATOR)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_manage(person(request), obj)

    has_delete_permission = has_change_permission
    has_add_permission = has_change_permission


class NewStaffForm(UserModelForm):
    """Somebody with this address who is a member already becomes a member of staff as well."""

    class Meta:
        model = User
        fields = ("email", "first_name", "last_name", "language")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The person has to be known before the roles beside this form are read."""
        super().__init__(*args, **kwargs)
        known = User.objects.filter(email=str(self.data.get("email", "")).strip().lower()).first()
        self.instance = known or self.instance

    def clean_email(self) -> str:
        if self.instance._state.adding:
            self.instance.set_unusable_password()
        elif self.instance.is_staff:
            raise forms.ValidationError(_("This person is already in the list."))
        self.instance.is_staff = True
        email: str = self.cleaned_data["email"].strip().lower()
        return email


@admin.register(User)
class StaffAdmin(ScopedAdmin):
    """Members of staff and their roles. Members are not here: they are seen through their applications."""

    institution_path = ""
    viewers = changers = adders = (Role.OPERATOR,)
    list_display = ("email", "first_name", "last_name", "is_active", "is_superuser")
    list_filter = ("is_active", "staff_roles__role")
    search_fields = ("email", "first_name", "last_name")
    ordering = ("email",)
    inlines = (RoleInline,)
    fields = ("email", "first_name", "last_name", "language", "is_staff", "is_active")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(is_staff=True)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_change_permission(request, obj) and may_manage(person(request), obj)

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change, **(kwargs if obj else {**kwargs, "form": NewStaffForm}))

    def get_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[Any, ...]:
        return self.fields if obj else ("email", "first_name", "last_name", "language")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        """With another's address one could sign in as them."""
        return ("email",) if obj else ()


def may_manage(by: User, someone: Model | None) -> bool:
    """Operators manage staff, but neither themselves nor their equals or betters; superusers manage all."""
    if by.is_superuser or not isinstance(someone, User) or someone.pk is None:
        return scoping.may(by, Role.OPERATOR)
    equal = someone.is_superuser or Role.OPERATOR in scoping.roles_of(someone)
    return scoping.may(by, Role.OPERATOR) and someone.pk != by.pk and not equal
