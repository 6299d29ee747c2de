from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from enrollment.admin_forms import WordsField
from enrollment.merge_plan import Obstacle
from enrollment.models import Enrollment
from libraries.models import User


class FindOtherForm(forms.Form):
    """Posted, never in an address: it may be an email address."""

    other = forms.CharField(
        label=_("The other application or account"),
        max_length=254,
        help_text=_("The number of the application, or the email address of the account."),
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_other(self) -> User:
        """Whose application or address it is."""
        text = self.cleaned_data["other"].strip().removeprefix("#")
        # Beyond 18 digits a number fits no column.
        by_number = Enrollment.objects.filter(pk=text) if text.isdecimal() and len(text) <= 18 else None
        if by_number is not None:
            found = User.objects.filter(enrollments__in=by_number).first()
        else:
            found = User.objects.filter(email=text.lower()).first()
        if found is None:
            raise ValidationError(Obstacle.UNKNOWN.label)
        return found


class MergeForm(forms.Form):
    """Of two people, in the order in which they are shown."""

    keep = forms.TypedChoiceField(
        label=_("Which account stays?"),
        coerce=int,
        widget=forms.RadioSelect,
        help_text=_("The person signs in with its email address from then on. The other account is closed."),
    )
    words = WordsField(
        label=_("How do you know that this is one person?"),
        help_text=_("Only staff read this. Do not write names or numbers."),
    )

    def __init__(self, *args: Any, people: Sequence[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        keep = self.fields["keep"]
        assert isinstance(keep, forms.TypedChoiceField)
        keep.choices = [(each.pk, each.email) for each in people]
