"""What a coordinator fills in to plan the courses on offer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from dateutil.relativedelta import relativedelta
from django import forms
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from catalog import rotation
from catalog.models import Course, Listing, Programme
from catalog.offer_rules import Slot
from catalog.rotation import Plan
from enrollment import rotating
from enrollment.admin_forms import WordsField
from enrollment.cap_forms import DayField, ReasonForm
from libraries.models import User

if TYPE_CHECKING:
    ListingFormBase = forms.ModelForm[Listing]
else:
    ListingFormBase = forms.ModelForm
MONTHS_AHEAD = 13
Choices = list[tuple[str, list[tuple[int, str]]]]


class PlanForm(ReasonForm):
    def __init__(self, *args: Any, programme: Programme, now: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.programme, self.now = programme, now

    def plan(self) -> Plan:
        raise NotImplementedError


class ReplaceForm(PlanForm):
    field_order = ("day", "out", "come", "reason")
    day = DayField(
        label=_("From which day?"), help_text=_("On this day the old titles are gone and the new ones are there.")
    )
    out = forms.TypedMultipleChoiceField(
        label=_("Titles that leave"), coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    come = forms.TypedMultipleChoiceField(
        label=_("Titles that come"),
        help_text=_("A title that is on offer with no end planned is not in this list."),
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "out", _listed(self.programme, self.now))
        _choose(self, "come", _courses(self.programme))

    def plan(self) -> Plan:
        told = self.cleaned_data
        return rotation.replacing(out=told["out"], come=told["come"], day=told["day"])


class ModuleForm(PlanForm):
    field_order = ("month", "course", "reason")
    month = forms.ChoiceField(label=_("Which month?"))
    course = forms.TypedChoiceField(label=_("Which course?"), coerce=int)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _choose(self, "month", _months(self.programme, self.now))
        _choose(self, "course", [("", "—"), *_courses(self.programme)])

    def plan(self) -> Plan:
        month = date.fromisoformat(f"{self.cleaned_data['month']}-01")
        return rotation.module(course_id=self.cleaned_data["course"], month=month, now=self.now)


class LeavesForm(PlanForm):
    field_order = ("day", "reason")
    day = DayField(
        label=_("First day it is gone"), required=False, help_text=_("Leave this empty when no end is planned.")
    )

    def __init__(self, *args: Any, listing: Listing, **kwargs: Any) -> None:
        super().__init__(*args, initial={"day": listing.offered_until}, **kwargs)
        self.listing = listing

    def plan(self) -> Plan:
        return rotation.ending(listing_id=self.listing.pk, day=self.cleaned_data["day"])


class WithdrawForm(PlanForm):
    def __init__(self, *args: Any, listing: Listing, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.listing = listing

    def plan(self) -> Plan:
        return rotation.withdrawing(listing_id=self.listing.pk)


class ListingForm(ListingFormBase):
    """One title, with its days: by the same rules as everywhere."""

    # Set by the page.
    by: User
    reason = WordsField(label=_("Reason"), help_text=_("Everybody in the workplace can read this."))

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if not self.errors:
            programme, plan = self.plan()
            seen = rotating.preview(programme_id=programme.pk, plan=plan, by=self.by, now=timezone.now())
            for words in seen.words:
                self.add_error(None, words)
        return told

    def plan(self) -> tuple[Programme, Plan]:
        def told(name: str) -> Any:
            return self.cleaned_data[name] if name in self.fields else getattr(self.instance, name)

        slot = Slot(
            course_id=told("course").pk,
            since=told("offered_from"),
            until=told("offered_until"),
            role=told("role"),
            listing_id=self.instance.pk,
        )
        return told("programme"), Plan(change=(slot,)) if self.instance.pk else Plan(come=(slot,))

    def validate_constraints(self) -> None:
        """Told in words by the plan."""


def _choose(form: forms.Form, name: str, choices: Iterable[Any]) -> None:
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField)
    field.choices = list(choices)


def _listed(programme: Programme, now: datetime) -> list[tuple[int, str]]:
    """The core titles on offer now or later, in the order of their titles."""
    today = timezone.localdate(now)
    slots = [
        (pk, slot)
        for pk, slot in rotation.slots_of(programme).items()
        if slot.role == Listing.Role.CORE and (slot.until is None or slot.until > today)
    ]
    return [(pk, slot.title) for pk, slot in sorted(slots, key=lambda pair: pair[1].title.casefold())]


def _courses(programme: Programme) -> Choices:
    """Those of the provider that can come some day, by area: not what is on offer without an end."""
    there = Listing.objects.filter(programme=programme, offered_until=None).values("course")
    rows = Course.objects.filter(provider=programme.provider_id).exclude(pk__in=there).select_related("area")
    groups: dict[str, list[tuple[int, str]]] = {}
    for course in rows.order_by("area__position", "area_id", "title", "pk"):
        groups.setdefault(course.area.name, []).append((course.pk, f"{course.title} ({course.code})"))
    return list(groups.items())


def _months(programme: Programme, now: datetime) -> Iterable[tuple[str, str]]:
    """From this one on, with the module it has."""
    first = timezone.localdate(now).replace(day=1)
    modules = [slot for slot in rotation.slots_of(programme).values() if slot.role == Listing.Role.MODULE]
    has = {(slot.since.year, slot.since.month): slot.title for slot in modules}
    for number in range(MONTHS_AHEAD):
        month = first + relativedelta(months=number)
        taken = has.get((month.year, month.month))
        name = date_format(month, "F Y")
        yield f"{month:%Y-%m}", f"{name} – {taken}" if taken else name
