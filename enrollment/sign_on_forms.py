"""What an operator fills in about a platform that members are signed in at by the portal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from enrollment import signing_on
from enrollment.models import SignOnClient
from enrollment.tool_forms import LinesField

if TYPE_CHECKING:
    SignOnFormBase = forms.ModelForm[SignOnClient]
else:
    SignOnFormBase = forms.ModelForm


class SignOnForm(SignOnFormBase):
    redirect_uris = LinesField(
        label=_("addresses an answer may go to"),
        help_text=_("One on a line, as the provider gave them: they are compared to the letter (redirect URIs)."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(field.label)

    def clean_redirect_uris(self) -> list[str]:
        given: list[str] = self.cleaned_data["redirect_uris"]
        if flaw := signing_on.flaw_of(given):
            raise ValidationError(flaw.label)
        return given
