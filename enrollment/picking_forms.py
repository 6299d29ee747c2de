"""What becomes of courses that were picked at a provider: one form for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.text import capfirst
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from catalog.models import Area, Course
from enrollment.registering import New, Row

MOST_HOURS = 1000
_CHOICES: Mapping[str, Sequence[Any]] = {
    name: list(getattr(Course._meta.get_field(name), "choices", None) or []) for name in ("language", "level")
}


class KnownForm(forms.Form):
    take = forms.BooleanField(label=_("Start it at this address from now on"), required=False, initial=True)


class NewForm(forms.Form):
    """Whatever is not taken need not be filled in."""

    take = forms.BooleanField(label=_("Make it a course"), required=False)
    title = forms.CharField(label=_("title"), max_length=200)
    code = forms.CharField(label=_("the provider's code"), max_length=50)
    area = forms.TypedChoiceField(label=_("area"), coerce=int)
    language = forms.ChoiceField(label=_("language"))
    level = forms.ChoiceField(label=_("level"))
    hours = forms.IntegerField(label=_("length in hours"), min_value=1, max_value=MOST_HOURS)

    def __init__(self, *args: Any, areas: Sequence[tuple[Any, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, offered in {**_CHOICES, "area": areas}.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", "---------"), *offered]
        for field in self.fields.values():
            field.label = capfirst(field.label)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if not data.get("take"):
            self._errors = forms.utils.ErrorDict(renderer=self.renderer)
        return data

    def new(self) -> New | None:
        told = self.cleaned_data
        if not told["take"]:
            return None
        kept = {name: told[name] for name in ("code", "title", "language", "level", "hours")}
        return New(area_id=told["area"], **kept)


@dataclass(frozen=True)
class Question:
    """`form` is None where nothing has to be said of the row."""

    row: Row
    form: KnownForm | NewForm | None


def questions(rows: Sequence[Row], data: Mapping[str, Any] | None) -> list[Question]:
    """With one query, for the areas."""
    areas = [(area.pk, area.name) for area in Area.objects.all()]
    return [Question(row, _form(row, data, areas)) for row in rows]


def answers(asked: Sequence[Question]) -> tuple[list[int], dict[int, New]]:
    """Of questions whose forms are all valid: what to change, and what to make, by the numbers of the rows."""
    change, make = [], {}
    for each in asked:
        if isinstance(each.form, KnownForm) and each.form.cleaned_data["take"]:
            change.append(each.row.number)
        elif isinstance(each.form, NewForm) and (new := each.form.new()):
            make[each.row.number] = new
    return change, make


def _form(row: Row, data: Mapping[str, Any] | None, areas: Sequence[tuple[Any, str]]) -> KnownForm | NewForm | None:
    prefix = f"item{row.number}"
    if row.is_same:
        return None
    if row.course is not None:
        return KnownForm(data, prefix=prefix)
    first = {
        "title": row.item["title"],
        "code": row.item["code"],
        "language": (get_language() or "nl")[:2],
    }
    return NewForm(data, prefix=prefix, initial=first, areas=areas, use_required_attribute=False)
