from django import forms
from django.utils.translation import gettext_lazy as _

from enrollment.erasing import Reason


class EraseForm(forms.Form):
    """A code and no words: words about a person would be erased with the rest."""

    reason = forms.ChoiceField(
        label=_("How do you know that the person wants this?"),
        choices=Reason.choices,
        widget=forms.RadioSelect,
        help_text=_("It stays on record, with your name. Erasing cannot be undone."),
    )
