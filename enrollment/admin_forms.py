from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from catalog.models import Programme
from enrollment import cap
from enrollment.models import SeatPool
from libraries import scoping
from libraries.cards.numbers import contains_national_number
from libraries.models import Card, Institution, User


def refuse_national_number(text: str) -> None:
    if contains_national_number(text):
        raise ValidationError(_("This looks like a national register number. It may not be kept here."))


class WordsField(forms.CharField):
    """Typed by staff, kept beside an event; as short as there."""

    widget = forms.Textarea(attrs={"rows": 3})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=500, validators=[refuse_national_number], **kwargs)


class RefusalForm(forms.Form):
    reason = forms.ChoiceField(
        label=_("Reason"),
        choices=Card.Refusal.choices,
        widget=forms.RadioSelect,
        help_text=_("The member reads this in a letter."),
    )
    words = WordsField(
        label=_("What you want to add"),
        required=False,
        help_text=_("The member reads this in the letter too, below the reason. It stays on record."),
    )


class EndForm(forms.Form):
    words = WordsField(
        label=_("Why does it end?"),
        help_text=_("Only staff read this. Do not write names or numbers. The member gets a letter."),
    )


class CapForm(forms.Form):
    cap = forms.IntegerField(label=_("New number of places"), min_value=0, max_value=cap.HIGHEST_CAP)
    reason = WordsField(label=_("Reason"), help_text=_("Everybody in the workplace can read this."))


def _institutions_field(label: Any) -> forms.ModelMultipleChoiceField[Institution]:
    every = Institution.objects.order_by("name")
    return forms.ModelMultipleChoiceField(label=label, queryset=every, widget=forms.CheckboxSelectMultiple)


class OpenPoolForm(CapForm):
    field_order = ("programme", "cap", "institutions", "reason")
    programme = forms.ModelChoiceField(label=_("Programme"), queryset=Programme.objects.filter(pool=None))
    institutions = _institutions_field(_("Institutions that take part"))


class LetInForm(forms.Form):
    institutions = _institutions_field(_("Institutions that take part from now on"))

    def __init__(self, *args: Any, pool: SeatPool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["institutions"]
        assert isinstance(field, forms.ModelMultipleChoiceField)
        field.queryset = Institution.objects.exclude(shares__pool=pool).order_by("name")


class RosterForm(forms.Form):
    institution = forms.ModelChoiceField(label=_("Institution"), queryset=Institution.objects.none())
    file = forms.FileField(
        label=_("CSV file"),
        help_text=_(
            "One card on each line. The first line names the columns: number, valid_until, and birth_date or last_name."
        ),
    )
    only_check = forms.BooleanField(label=_("Only check the file, change nothing"), required=False, initial=True)

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["institution"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = scoping.institutions_visible_to(user)
        if len(field.queryset) == 1:
            field.initial, field.empty_label = field.queryset[0], None

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.ROSTER_MAX_BYTES:
            most = filesizeformat(settings.ROSTER_MAX_BYTES)
            raise ValidationError(_("The file is too big: at most %(most)s."), params={"most": most})
        return file
