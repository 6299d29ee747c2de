"""What a coordinator fills in to end a programme, or to let it go on after all."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from catalog.models import Programme
from enrollment.cap_forms import DayField, ReasonForm
from enrollment.closing import Obstacle, Plan


class SeatsEnd(TextChoices):
    TERM = "term", _("Each place runs its full term.")
    DAY = "day", _("All places end on a day at the latest.")


class ClosingForm(ReasonForm):
    field_order = ("closes_on", "seats_end", "seats_end_on", "reason")
    closes_on = DayField(
        label=_("First day without new places"),
        help_text=_("From this day on nobody gets a place any more. Choose today to end it at once."),
    )
    seats_end = forms.ChoiceField(
        label=_("What happens to the places that are given?"), choices=SeatsEnd.choices, widget=forms.RadioSelect
    )
    seats_end_on = DayField(
        label=_("Last day of all places"),
        required=False,
        help_text=_("Only where all places end on a day at the latest."),
    )

    @staticmethod
    def as_it_is(programme: Programme) -> dict[str, Any]:
        """To begin with."""
        by_day = programme.seats_end_on is not None
        return {
            "closes_on": programme.closes_on,
            "seats_end": SeatsEnd.DAY if by_day else SeatsEnd.TERM,
            "seats_end_on": programme.seats_end_on,
        }

    def clean(self) -> dict[str, Any]:
        told = self.cleaned_data
        if told.get("seats_end") == SeatsEnd.DAY and "seats_end_on" in told and told["seats_end_on"] is None:
            self.add_error("seats_end_on", ValidationError(_("Choose the last day.")))
        return told

    def plan(self) -> Plan:
        """A day that was filled in before the other choice was made does not count."""
        told = self.cleaned_data
        day = told["seats_end_on"] if told["seats_end"] == SeatsEnd.DAY else None
        return Plan(closes_on=told["closes_on"], seats_end_on=day)

    @staticmethod
    def field_of(obstacle: Obstacle) -> str | None:
        """Beside which field an obstacle is told."""
        of_days = {Obstacle.IN_THE_PAST, Obstacle.TOO_FAR, Obstacle.BEFORE_OPENING, Obstacle.CLOSED}
        of_ends = {Obstacle.SEATS_BEFORE_CLOSING, Obstacle.SEATS_IN_THE_PAST, Obstacle.SEATS_TOO_FAR}
        fields = {
            Obstacle.NO_REASON: "reason",
            **dict.fromkeys(of_days, "closes_on"),
            **dict.fromkeys(of_ends, "seats_end_on"),
        }
        return fields.get(obstacle)
