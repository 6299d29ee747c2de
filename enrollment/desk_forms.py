"""What a librarian fills in at the desk. The number is last, so that the scanner's Enter finds the form complete."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Programme
from enrollment import at_the_desk
from enrollment.forms import LANGUAGES, EmailForm, NameField, clean_card_number
from enrollment.models import SeatPool
from libraries import scoping
from libraries.models import Library, User

PROGRAMME = _("Programme")


class PoolField(forms.ModelChoiceField):  # type: ignore[type-arg]
    def label_from_instance(self, pool: Any) -> str:
        return str(pool.programme.name)


class DeskCardForm(forms.Form):
    """Of the open programmes, and of the libraries that the person may decide about."""

    pool = PoolField(label=PROGRAMME, queryset=SeatPool.objects.none())
    library = forms.ModelChoiceField(
        label=_("Library"),
        queryset=Library.objects.none(),
        error_messages={"required": _("Choose the library of the card.")},
    )
    number = forms.CharField(
        label=_("Card number"),
        help_text=_("Scan the barcode on the card, or type the number."),
        max_length=200,
        error_messages={"required": _("Scan the card, or type its number.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "autofocus": True, "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        opened = Programme.objects.open_on(timezone.localdate())
        pools = SeatPool.objects.filter(programme__in=opened).select_related("programme")
        visible = scoping.institutions_visible_to(user)
        libraries = (
            Library.objects.filter(institution__in=visible).select_related("institution").order_by("city", "name")
        )
        self._offer("pool", pools.filter(shares__institution__in=visible).distinct().order_by("programme__name"))
        self._offer("library", libraries.filter(institution__shares__pool__in=pools).distinct())
        if self.is_bound:  # the summary of the errors takes it
            del self.fields["number"].widget.attrs["autofocus"]

    def _offer(self, name: str, rows: Any) -> None:
        """Where there is but one, there is nothing to choose."""
        field = self.fields[name]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = rows
        if len(rows) == 1:
            field.initial, field.empty_label = rows[0], None

    def clean_number(self) -> str:
        return clean_card_number(self.cleaned_data["number"], of_another=True)

    def clean(self) -> None:
        """A scanner reads what is before it, the barcode of a book too."""
        library, number = self.cleaned_data.get("library"), self.cleaned_data.get("number")
        if library and number and not at_the_desk.fits(library, number):
            self.add_error("number", at_the_desk.Obstacle.NO_SUCH_NUMBER.label)


class DeskEmailForm(EmailForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["email"]
        field.label = _("Email address")
        field.error_messages["required"] = _("Fill in the email address of the person.")
        field.widget.attrs["autocomplete"] = "off"


class PersonForm(DeskEmailForm):
    """Typed by the librarian, as the person says it."""

    NOW, LATER = "now", "later"

    first_name = NameField(
        label=_("First name"),
        error_messages={"required": _("Fill in the first name.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    last_name = NameField(
        label=_("Last name"),
        error_messages={"required": _("Fill in the last name.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    language = forms.ChoiceField(label=_("In which language do we write to them?"), choices=LANGUAGES)
    age_confirmed = forms.BooleanField()
    told = forms.BooleanField(
        label=_("I have read out the text about personal data."),
        error_messages={"required": _("Read out the text about personal data, and tick that you did.")},
    )
    proof = forms.ChoiceField(
        label=_("Can this person read their mail here, for example on their phone?"),
        choices=[
            (NOW, _("Yes: we send a code now, and they read it to you")),
            (LATER, _("No: we send a letter, and they sign in from home")),
        ],
        widget=forms.RadioSelect,
        error_messages={"required": _("Choose how the email address is proved.")},
    )
    field_order = ("first_name", "last_name", "email", "language", "age_confirmed", "told", "proof")

    def __init__(self, *args: Any, minimum_age: int | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound:  # else the summary of the errors takes it
            self.fields["first_name"].widget.attrs["autofocus"] = True
        if minimum_age is None:
            del self.fields["age_confirmed"]
            return
        field, age = self.fields["age_confirmed"], {"age": minimum_age}
        field.label = _("The person says that they are %(age)s years old or older.") % age
        field.error_messages["required"] = _("Only who is %(age)s or older can take part. Ask, and tick it.") % age


class DeskCodeForm(forms.Form):
    code = forms.CharField(
        label=_("The code that the person reads out"),
        max_length=50,
        error_messages={"required": _("Fill in the code from the mail.")},
        widget=forms.TextInput(
            attrs={"class": "code", "inputmode": "numeric", "autocomplete": "off", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.is_bound:
            self.fields["code"].widget.attrs["autofocus"] = True
