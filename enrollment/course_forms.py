"""What a coordinator fills in of a course, or to take in a provider's list of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from catalog.course_lists import Defaults
from catalog.models import Area, Course, Provider
from enrollment import rotating, tool_checks
from enrollment.course_importing import Source

if TYPE_CHECKING:
    CourseFormBase = forms.ModelForm[Course]
else:
    CourseFormBase = forms.ModelForm


class CourseForm(CourseFormBase):
    def clean_provider(self) -> Provider:
        provider: Provider = self.cleaned_data["provider"]
        if self.instance.pk and provider.pk != self.instance.provider_id and rotating.is_used(self.instance):
            raise ValidationError(
                _("This course has been planned, or members have saved or started it: it stays with its provider.")
            )
        return provider

    def clean_launch_url(self) -> str:
        """Empty, or what a picked course could have."""
        address: str = self.cleaned_data["launch_url"]
        if address and (flaw := tool_checks.flaw_of_address(address)):
            raise ValidationError(flaw.label)
        return address


class CourseListForm(forms.Form):
    provider = forms.ModelChoiceField(label=_("Provider"), queryset=Provider.objects.all())
    source = forms.ChoiceField(
        label=_("Where does the list come from?"),
        choices=Source.choices,
        widget=forms.RadioSelect,
        initial=Source.FILE,
    )
    file = forms.FileField(
        label=_("CSV or XLSX file"),
        error_messages={"required": _("Choose the file.")},
        help_text=_(
            "One course on each row. The first row names the columns: code and title, and if you like area, language,"
            " level, hours, description and address."
        ),
    )
    area = forms.ModelChoiceField(
        label=_("Area of new titles"),
        queryset=Area.objects.all(),
        empty_label="—",
        required=False,
        help_text=_("This and what follows is for new titles of which the list does not say it."),
    )
    language = forms.ChoiceField(label=_("Language of new titles"), required=False)
    level = forms.ChoiceField(label=_("Level of new titles"), required=False)
    hours = forms.IntegerField(label=_("Length of new titles, in hours"), required=False, min_value=1, max_value=1000)
    # Of what was shown; empty as long as nothing was.
    expected = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        providers = self.fields["provider"]
        assert isinstance(providers, forms.ModelChoiceField)
        if len(only := Provider.objects.all()[:2]) == 1:
            providers.initial, providers.empty_label = only[0], None
        for name in ("language", "level"):
            field, column = self.fields[name], Course._meta.get_field(name)
            assert isinstance(field, forms.ChoiceField)
            assert isinstance(column, models.Field)
            field.choices = [("", "—"), *column.flatchoices]

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if told.get("source") == Source.API:
            self.errors.pop("file", None)
        return told

    def defaults(self) -> Defaults:
        told = self.cleaned_data
        area = told["area"]
        return Defaults(
            area_id=area.pk if area else None,
            language=told["language"] or None,
            level=told["level"] or None,
            hours=told["hours"],
        )

    def show(self, fingerprint: str) -> None:
        """What was shown goes along when the form is sent again."""
        self.data = {**self.data.dict(), "expected": fingerprint} if isinstance(self.data, QueryDict) else self.data
