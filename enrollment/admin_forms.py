from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from enrollment import prioritizing
from enrollment.forms import clean_card_number
from libraries import scoping
from libraries.cards.numbers import contains_national_number
from libraries.models import Card, Institution, Library, User


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


class WhyForm(forms.Form):
    words = WordsField(label=_("Why?"), help_text=_("Only staff read this. Do not write names or numbers."))


class PriorityForm(WhyForm):
    field_order = ("reason", "words")
    reason = forms.ChoiceField(label=_("Reason"), choices=prioritizing.Reason.choices, widget=forms.RadioSelect)


class EndForm(forms.Form):
    words = WordsField(
        label=_("Why does it end?"),
        help_text=_("Only staff read this. Do not write names or numbers. The member gets a letter."),
    )


class NewCardForm(forms.Form):
    """Of the libraries of the programme that the person may decide about."""

    library = forms.ModelChoiceField(label=_("Library"), queryset=Library.objects.none())
    number = forms.CharField(
        label=_("Number of the new card"), max_length=100, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )

    def __init__(self, *args: Any, user: User, pool_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["library"]
        assert isinstance(field, forms.ModelChoiceField)
        visible = scoping.institutions_visible_to(user)
        libraries = Library.objects.filter(institution__in=visible, institution__shares__pool=pool_id)
        field.queryset = libraries.order_by("city", "name")
        if len(field.queryset) == 1:
            field.initial, field.empty_label = field.queryset[0], None

    def clean_number(self) -> str:
        return clean_card_number(self.cleaned_data["number"], of_another=True)


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


class SystemTestForm(forms.Form):
    """A card to test a library system with; none of it is kept, and the PIN is never shown again."""

    kind = forms.ChoiceField(label=_("Test it as"), choices=lambda: [(kind, kind.label) for kind in Institution.ASKED])
    number = forms.CharField(
        label=_("Number of a test card"),
        required=False,
        max_length=100,
        help_text=_("Without one, everything is tested but the question about a card."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    pin = forms.CharField(
        label=_("PIN of the test card"),
        required=False,
        max_length=100,
        help_text=_("Used once, and not kept. Without it, the card is only looked up."),
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
    )

    def __init__(self, *args: Any, institution: Institution, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if institution.is_asked:
            del self.fields["kind"]

    def clean_number(self) -> str:
        typed: str = self.cleaned_data["number"]
        return clean_card_number(typed, of_another=True) if typed else ""

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("pin") and not data.get("number") and "number" not in self.errors:
            self.add_error("number", _("Fill in the number of the card as well."))
        return data
