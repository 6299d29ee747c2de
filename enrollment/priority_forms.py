from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.utils.translation import gettext_lazy as _

from catalog.models import Programme
from enrollment.reports.priorities import Period

# Beyond these no report is meant, and a calendar ends somewhere.
_VALIDATORS = [MinValueValidator(date(2000, 1, 1)), MaxValueValidator(date(2100, 1, 1))]


class DayField(forms.DateField):
    widget = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validators=_VALIDATORS, input_formats=["%Y-%m-%d"], **kwargs)


class ProgrammeForm(forms.Form):
    programme = forms.ModelChoiceField(
        label=_("Programme"), queryset=Programme.objects.all(), required=False, empty_label=_("All programmes")
    )

    @property
    def programme_id(self) -> int | None:
        programme = self.cleaned_data["programme"]
        return programme.pk if programme else None


class PeriodForm(ProgrammeForm):
    since = DayField(label=_("From"))
    until = DayField(label=_("Until"))
    field_order = ("since", "until", "programme")

    @staticmethod
    def usual(today: date) -> dict[str, str]:
        """The last three months."""
        return {"since": (today - timedelta(days=91)).isoformat(), "until": today.isoformat()}

    def clean(self) -> dict[str, Any]:
        told = super().clean() or self.cleaned_data
        since, until = told.get("since"), told.get("until")
        if since and until and since > until:
            self.add_error("until", _("The last day cannot be before the first."))
        return told

    @property
    def period(self) -> Period:
        return Period(self.cleaned_data["since"], self.cleaned_data["until"])
