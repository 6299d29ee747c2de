"""What people fill in: each field says what is wrong with it in words that help."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from allauth.core.internal.cryptokit import compare_user_code
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from enrollment import following
from libraries.cards import numbers
from libraries.cards.checks import Outcome
from libraries.cards.numbers import InvalidNumber
from libraries.cards.roster import InvalidFact, birth_date

MOST_TYPED = 10_000
# Each in its own words, so that everybody finds theirs.
LANGUAGES = [("nl", "Nederlands"), ("fr", "Français"), ("en", "English")]
NATIONAL_NUMBER = _(
    "This looks like your national register number. We are not allowed to keep that. "
    "Use the number of your library card."
)
NATIONAL_NUMBER_OF_ANOTHER = _(
    "This looks like a national register number. We are not allowed to keep that: use the number of the library card."
)
NUMBER_ERRORS = {
    "empty": _("Fill in the number of your library card."),
    "too_long": _("This number is too long. A card number has at most 40 digits and letters."),
    "bad_characters": _("A card number has only digits and letters."),
    "national_number": NATIONAL_NUMBER,
}
FACT_ERRORS = {
    "bad_date": _("Write your date of birth as day, month and year. For example: 18/05/1993."),
    "future_date": _("This date is still to come. Check the year."),
    "national_number": NATIONAL_NUMBER,
}
MOST_PIN = 100
PIN_ERRORS = {
    "required": _("Fill in the PIN of your library card."),
    "max_length": _("This is too long for a PIN."),
    "bad_characters": _("A PIN has only letters, digits and signs. Type it again."),
}
# An unknown card and a wrong PIN, told alike: where both are asked, and where the number is known.
BOTH_ASKED = _("Your library does not find a card with this number and this PIN. Check both, and type your PIN again.")
PIN_ASKED = _("Your library does not find this card with this PIN. Check your PIN and type it again.")
# Beside which field an answer of the card check is said, and how.
OUTCOME_ERRORS: Mapping[Outcome, tuple[str, Any]] = {
    Outcome.UNKNOWN_OR_WRONG: (
        "number",
        _("Your library does not find this card. Check the number and what you filled in below."),
    ),
    Outcome.UNKNOWN: ("number", _("Your library does not know this number. Check it against your card.")),
    Outcome.WRONG_FACT: ("second_fact", _("This does not match your card. Check it.")),
    Outcome.WRONG_PIN: ("pin", _("This is not the PIN of your card. Check it and type it again.")),
    Outcome.EXPIRED: ("number", _("Your card is no longer valid. Ask your library to renew it.")),
    Outcome.BLOCKED: ("number", _("Your card is blocked. Ask at the desk of your library.")),
}


class EmailForm(forms.Form):
    email = forms.EmailField(
        label=_("Your email address"),
        max_length=254,
        error_messages={
            "required": _("Fill in your email address."),
            "invalid": _("This is not a complete email address. For example: name@example.be."),
            "max_length": _("This email address is too long."),
        },
        widget=forms.EmailInput(attrs={"autocomplete": "email", "spellcheck": "false"}),
    )


class CodeForm(forms.Form):
    """The code is compared only when it is asked to: a guess beyond the limit is not looked at."""

    code = forms.CharField(
        label=_("The code from the mail"),
        max_length=MOST_TYPED,
        error_messages={"required": _("Fill in the code from the mail.")},
        widget=forms.TextInput(
            attrs={"class": "code", "inputmode": "numeric", "autocomplete": "one-time-code", "spellcheck": "false"}
        ),
    )

    def __init__(self, *args: Any, code: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = code

    def clean_code(self) -> str:
        typed: str = self.cleaned_data["code"]
        if not compare_user_code(actual=typed, expected=self.expected):
            words = _("This is not the right code. Look at the newest mail from us and type it again.")
            raise ValidationError(words, code="incorrect")
        return typed


class NameField(forms.CharField):
    """A name in any script, emoji too, in its composed form. Marks that cannot be seen fall away, but for the joiners
    that some scripts and emoji need."""

    _JOINERS = "\u200c\u200d"

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=100, **kwargs)
        # In place of Django's words, which count characters.
        self.validators[:] = [each for each in self.validators if not isinstance(each, MaxLengthValidator)]
        self.validators += [self._check_length, self._check_content]

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Without a limit in the browser, which would cut off silently what is too long."""
        return {key: value for key, value in super().widget_attrs(widget).items() if key != "maxlength"}

    def to_python(self, value: Any) -> str:
        text = "".join(character for character in str(value or "") if not self._is_mark(character))
        name = unicodedata.normalize("NFC", " ".join(text.split()))
        return name if name.strip(self._JOINERS) else ""

    def _is_mark(self, character: str) -> bool:
        return unicodedata.category(character) == "Cf" and character not in self._JOINERS

    @staticmethod
    def _check_length(name: str) -> None:
        if len(name) > 100:
            raise ValidationError(_("This name is too long. Use at most 100 characters."))

    @staticmethod
    def _check_content(name: str) -> None:
        if any(unicodedata.category(character) in ("Cc", "Co", "Cs") for character in name):
            raise ValidationError(_("This name has characters that we cannot read. Type it again."))
        if numbers.contains_national_number(name):
            raise ValidationError(NATIONAL_NUMBER)


def clean_card_number(typed: str, *, of_another: bool = False) -> str:
    """The normalized number. Raises ValidationError, in words for the owner of the card, or for staff who type the
    number of another person."""
    words = NUMBER_ERRORS | {"national_number": NATIONAL_NUMBER_OF_ANOTHER} if of_another else NUMBER_ERRORS
    try:
        return numbers.normalize(typed)
    except InvalidNumber as error:
        raise ValidationError(words[error.code], code=error.code) from None


class ProofForm(forms.Form):
    """What a library asks beside the number of a card, to be sure whose it is.

    `pin_name` as `asking.pin_name` gives it: None where no PIN is asked.
    """

    second_fact = forms.CharField(
        label=_("Your date of birth"),
        help_text=_(
            "Day, month and year. For example: 18/05/1993. We use it once, to check your card, and do not keep it."
        ),
        max_length=MOST_TYPED,
        error_messages={"required": _("Fill in your date of birth."), "max_length": FACT_ERRORS["bad_date"]},
        widget=forms.TextInput(attrs={"class": "short", "autocomplete": "bday"}),
    )

    pin = forms.CharField(
        label=_("PIN of your library card"),
        help_text=_("The one you use on the website of your library. We use it once, and do not keep it."),
        max_length=MOST_PIN,
        error_messages=PIN_ERRORS,
        # Never sent back to the page.
        widget=forms.PasswordInput(attrs={"class": "short", "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, needs_fact: bool, pin_name: str | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not needs_fact:
            del self.fields["second_fact"]
        if pin_name is None:
            del self.fields["pin"]
        elif pin_name:
            self.fields["pin"].label = pin_name

    def clean_pin(self) -> str:
        typed: str = self.cleaned_data["pin"]
        if numbers.contains_national_number(typed):
            raise ValidationError(NATIONAL_NUMBER)
        if not typed.isprintable():
            raise ValidationError(PIN_ERRORS["bad_characters"], code="bad_characters")
        return typed

    def clean_second_fact(self) -> str:
        typed: str = self.cleaned_data["second_fact"]
        if numbers.contains_national_number(typed):
            raise ValidationError(NATIONAL_NUMBER)
        try:
            birth_date(typed, on=timezone.localdate())
        except InvalidFact as error:
            raise ValidationError(FACT_ERRORS[error.code], code=error.code) from None
        return typed

    def add_foreign_number(self, institution: str) -> None:
        words = _("This is not the number of a card of %(institution)s. Check it, or choose another library.")
        self.add_error("number" if "number" in self.fields else None, words % {"institution": institution})

    def add_outcome(self, outcome: Outcome) -> None:
        """What the card check said, beside the field that can be corrected."""
        field, words = OUTCOME_ERRORS.get(outcome, ("number", _("Your library does not accept this card.")))
        if outcome == Outcome.UNKNOWN_OR_WRONG and "pin" in self.fields:
            field, words = ("number", BOTH_ASKED) if "number" in self.fields else ("pin", PIN_ASKED)
        self.add_error(next((name for name in (field, "last_name", "number") if name in self.fields), None), words)


class NumberForm(ProofForm):
    """A card, and what else its library asks to be sure."""

    number = forms.CharField(
        label=_("Number of your library card"),
        help_text=_("You find it on your card, near the barcode. Spaces and dots do not matter."),
        max_length=MOST_TYPED,
        error_messages={"required": NUMBER_ERRORS["empty"], "max_length": NUMBER_ERRORS["too_long"]},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    # The order in which errors are told.
    field_order = ("number",)

    def clean_number(self) -> str:
        return clean_card_number(self.cleaned_data["number"])


class CardForm(NumberForm):
    """With everything else that an application needs."""

    first_name = NameField(
        label=_("First name"),
        error_messages={"required": _("Fill in your first name.")},
        widget=forms.TextInput(attrs={"autocomplete": "given-name", "spellcheck": "false"}),
    )
    last_name = NameField(
        label=_("Last name"),
        help_text=_("Both names as your library knows them."),
        error_messages={"required": _("Fill in your last name.")},
        widget=forms.TextInput(attrs={"autocomplete": "family-name", "spellcheck": "false"}),
    )
    language = forms.ChoiceField(label=_("In which language do we write to you?"), choices=LANGUAGES)
    age_confirmed = forms.BooleanField()

    def __init__(self, *args: Any, minimum_age: int | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if minimum_age is None:
            del self.fields["age_confirmed"]
        else:
            self._ask_age(minimum_age)

    def _ask_age(self, minimum_age: int) -> None:
        field, age = self.fields["age_confirmed"], {"age": minimum_age}
        field.label = _("I am %(age)s years old or older.") % age
        field.error_messages["required"] = (
            _("Tick that you are %(age)s or older. Otherwise you cannot take part.") % age
        )


class LanguageForm(forms.Form):
    language = forms.ChoiceField(label=_("In which language do we write to you?"), choices=LANGUAGES)


class CourseLettersForm(forms.Form):
    wanted = forms.BooleanField(
        label=_("Write to me when I have finished a course, with my certificate"), required=False
    )


class ReminderForm(forms.Form):
    """For one course; which days may be chosen is said by `following`, and told again by `add_obstacle`."""

    day = forms.DateField(
        label=_("On this day"),
        help_text=_("From tomorrow up to a year from now. We write once, and only if you can start the course then."),
        input_formats=["%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y"],
        error_messages={"required": following.Obstacle.WRONG_DAY.label, "invalid": following.Obstacle.WRONG_DAY.label},
    )

    def __init__(self, typed: Mapping[str, Any] | None = None, *, run_id: int, days: following.Days) -> None:
        super().__init__(typed, auto_id=f"reminder-{run_id}-%s")
        self.days = days
        limits = {"type": "date", "class": "short", "min": days.first.isoformat(), "max": days.last.isoformat()}
        self.fields["day"].widget = forms.DateInput(format="%Y-%m-%d", attrs=limits)

    def add_obstacle(self, obstacle: following.Obstacle) -> None:
        self.add_error("day", obstacle.label)
