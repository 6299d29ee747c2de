from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog import rotation
from catalog.models import Area, Course, Programme, Synonym
from enrollment.admin.course_lists import CourseListAdmin
from enrollment.admin.rotation import RotationAdmin
from enrollment.course_forms import CourseForm
from libraries.scoped_admin import CENTRAL, Role, ScopedAdmin, ScopedRelatedFilter, may

if TYPE_CHECKING:
    ProgrammeFormBase = forms.ModelForm[Programme]
else:
    ProgrammeFormBase = forms.ModelForm
EDITORS = (Role.COORDINATOR, Role.OPERATOR)


class ProgrammeForm(ProgrammeFormBase):
    def clean_opens_on(self) -> date:
        opens_on: date = self.cleaned_data["opens_on"]
        closes_on = self.instance.closes_on
        if "closes_on" not in self.fields and closes_on is not None and opens_on >= closes_on:
            raise ValidationError(_("The programme closes before this day."))
        return opens_on

    def clean_core_titles(self) -> int:
        """Under the lock: nobody plans one more meanwhile."""
        most: int = self.cleaned_data["core_titles"]
        if self.instance._state.adding:
            return most
        rotation.lock(self.instance.pk)
        fewest = rotation.fewest_core_titles(self.instance.pk, now=timezone.now())
        if most < fewest:
            raise ValidationError(_("So many core titles are planned on one day: %(count)s."), params={"count": fewest})
        return most


@admin.register(Programme)
class ProgrammeAdmin(RotationAdmin):
    form = ProgrammeForm
    institution_path = ""
    changers = adders = EDITORS
    list_display = ("name", "provider", "opens_on", "closes_on", "term_months", "hold_days")
    list_select_related = ("provider",)
    change_form_template = "admin/programme.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Programme | None = None) -> tuple[str, ...]:
        """Accounts of its members are at the provider: a programme does not move to another."""
        if obj is None:
            return ()
        # Whoever has a seat or waits is told when the programme closes: from the page of its places.
        return ("slug", "its_provider", "closes_on") if hasattr(obj, "pool") else ("slug", "its_provider")

    def save_model(self, request: HttpRequest, obj: Programme, form: Any, change: bool) -> None:
        """Only what was changed here: the end of a programme may be decided elsewhere at the same moment."""
        obj.save(update_fields=form.changed_data) if change else obj.save()

    def get_exclude(self, request: HttpRequest, obj: Programme | None = None) -> tuple[str, ...]:
        return ("provider",) if obj else ()

    @admin.display(description=_("provider"))
    def its_provider(self, row: Programme) -> str:
        """As text: Django would make it a link, also for who may not see the provider's page."""
        return row.provider.name


@admin.register(Area)
class AreaAdmin(ScopedAdmin):
    institution_path = ""
    viewers = CENTRAL
    changers = adders = EDITORS
    list_display = ("name_nl", "name_fr", "name_en", "position")


@admin.register(Synonym)
class SynonymAdmin(ScopedAdmin):
    """Deleted by hand too: no history hangs on words."""

    institution_path = ""
    viewers = CENTRAL
    changers = adders = EDITORS
    list_display = ("words",)
    search_fields = ("words",)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return may(request, EDITORS)


@admin.register(Course)
class CourseAdmin(CourseListAdmin):
    form = CourseForm
    institution_path = ""
    viewers = CENTRAL
    changers = adders = EDITORS
    list_display = ("title", "code", "area", "language", "level", "hours")
    list_filter = (("provider", ScopedRelatedFilter), ("area", ScopedRelatedFilter), "language", "level")
    list_select_related = ("area",)
    search_fields = ("title", "code")
    formfield_overrides: ClassVar[dict[Any, Any]] = {models.URLField: {"assume_scheme": "https"}}

    def get_readonly_fields(self, request: HttpRequest, obj: Course | None = None) -> tuple[str, ...]:
        return ("slug",) if obj else ()

    def get_prepopulated_fields(self, request: HttpRequest, obj: Course | None = None) -> dict[str, Any]:
        return {} if obj else {"slug": ("title",)}
