"""What a coordinator fills in to change the seats of a programme."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Programme
from enrollment.admin_forms import WordsField
from enrollment.cap_plan import HIGHEST_CAP, Before, Obstacle, Plan, Terms
from enrollment.models import SeatPool, Share
from libraries.models import Institution


class NumberField(forms.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=HIGHEST_CAP, **kwargs)


class DayField(forms.DateField):
    widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})


class ReasonForm(forms.Form):
    reason = WordsField(label=_("Reason"), help_text=_("Everybody in the workplace can read this."))


class ChangeForm(ReasonForm):
    """A change of a pool's seats, at once or from a day on."""

    starts_on = DayField(label=_("From which day?"), required=False, help_text=_("Leave this empty to change it now."))

    def plan(self) -> Plan:
        raise NotImplementedError

    def field_of(self, obstacle: Obstacle) -> str | None:
        """Beside which field an obstacle is told."""
        return {Obstacle.NO_REASON: "reason", Obstacle.IN_THE_PAST: "starts_on"}.get(obstacle)

    def clean_starts_on(self) -> date | None:
        day: date | None = self.cleaned_data["starts_on"]
        if day is not None and day <= timezone.localdate():
            raise ValidationError(Obstacle.IN_THE_PAST.label)
        if day is not None and day.year > timezone.localdate().year + 10:
            raise ValidationError(_("This day is very far away. Check the year."))
        return day


class CapForm(ChangeForm):
    field_order = ("cap", "starts_on", "reason")
    cap = NumberField(label=_("New number of places"))

    def plan(self) -> Plan:
        return Plan(cap=self.cleaned_data["cap"])

    def field_of(self, obstacle: Obstacle) -> str | None:
        return super().field_of(obstacle) or "cap"


class SharesForm(ChangeForm):
    """One row of fields for each institution that takes part."""

    def __init__(self, *args: Any, before: Before, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._shares = before.shares
        for share in self._shares:
            for name, field in self._fields(share).items():
                field.label = f"{share.institution.name}: {field.label}"
                field.widget.attrs["aria-label"] = field.label
                self.fields[f"{name}_{share.pk}"] = field
        last = ChangeForm.base_fields
        self.order_fields([*(name for name in self.fields if name not in last), *last])

    @staticmethod
    def _fields(share: Share) -> dict[str, forms.Field]:
        return {
            "floor": NumberField(label=_("guaranteed"), initial=share.floor),
            "ceiling": NumberField(label=_("at most"), initial=share.ceiling, required=False),
            "lends": DayField(label=_("lends from"), initial=share.lends_from, required=False),
        }

    @property
    def rows(self) -> list[tuple[Share, list[forms.BoundField]]]:
        names = ("floor", "ceiling", "lends")
        return [(share, [self[f"{name}_{share.pk}"] for name in names]) for share in self._shares]

    @property
    def others(self) -> list[forms.BoundField]:
        return [self["starts_on"], self["reason"]]

    def plan(self) -> Plan:
        told = self.cleaned_data
        return Plan(
            shares={
                share.pk: Terms(
                    floor=told[f"floor_{share.pk}"],
                    ceiling=told[f"ceiling_{share.pk}"],
                    lends_from=told[f"lends_{share.pk}"],
                )
                for share in self._shares
            }
        )


def _institutions_field(label: Any) -> forms.ModelMultipleChoiceField[Institution]:
    every = Institution.objects.order_by("name")
    return forms.ModelMultipleChoiceField(label=label, queryset=every, widget=forms.CheckboxSelectMultiple)


class OpenPoolForm(ReasonForm):
    field_order = ("programme", "cap", "institutions", "reason")
    cap = NumberField(label=_("Number of places"))
    programme = forms.ModelChoiceField(label=_("Programme"), queryset=Programme.objects.filter(pool=None))
    institutions = _institutions_field(_("Institutions that take part"))


class LetInForm(forms.Form):
    institutions = _institutions_field(_("Institutions that take part from now on"))

    def __init__(self, *args: Any, pool: SeatPool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["institutions"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = Institution.objects.exclude(shares__pool=pool).order_by("name")
