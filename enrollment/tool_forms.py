"""What an operator fills in about a provider's tool: what the provider gives when it is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.fields import InvalidJSONInput
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from catalog.models import Tool
from enrollment import tool_checks
from enrollment.tool_checks import LONGEST_ADDRESS, LONGEST_KEYSET, MOST_ADDRESSES, Flaw

if TYPE_CHECKING:
    ToolFormBase = forms.ModelForm[Tool]
else:
    ToolFormBase = forms.ModelForm
GIVEN = ("login_url", "launch_url", "redirect_uris", "deep_linking_url", "keyset_url", "keyset")


class LinesField(forms.CharField):
    """Addresses, one on a line; as a list, each once, as they were written."""

    widget = forms.Textarea(attrs={"rows": 3})

    def __init__(self, **how: Any) -> None:
        super().__init__(max_length=MOST_ADDRESSES * (LONGEST_ADDRESS + 2), **how)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> Any:
        return _lines(super().clean(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return list(initial or []) != _lines(str(data or ""))


class KeysField(forms.JSONField):
    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Nothing is shown as nothing, and not as JSON has it."""
        return "" if value is None else super().prepare_value(value)

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(_readable(value))
        except (ValidationError, ValueError, RecursionError):
            raise ValidationError(Flaw.UNREADABLE_KEYS.label) from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What cannot be read is shown as it was typed."""
        try:
            return super().bound_data(_readable(data), initial)
        except (ValueError, RecursionError):
            return InvalidJSONInput(data)


class ToolForm(ToolFormBase):
    redirect_uris = LinesField(
        label=_("addresses an answer may go to"),
        help_text=_("One on a line, as the provider gave them: they are compared to the letter (redirect URIs)."),
    )
    keyset = KeysField(
        label=_("the tool's keys"),
        required=False,
        help_text=_("Only where the provider gives no address: the public keys themselves (JWKS)."),
    )

    class Meta:
        help_texts = {  # noqa: RUF012 - as Django has it
            "login_url": _("The provider calls it login URL, or OIDC initiation URL."),
            "launch_url": _("The provider calls it launch URL, or target link URI."),
            "deep_linking_url": _("The provider calls it deep linking URL. Empty: courses cannot be picked there."),
            "keyset_url": _("The provider calls it public keyset URL, or JWKS URL."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(field.label)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        told = {name: data.get(name, getattr(self.instance, name)) for name in GIVEN}
        changed = None if self.instance.pk is None else self.changed_data
        flaws = tool_checks.flaws_of(Tool(**told), fields=changed) if changed is None or changed else {}
        for name, flaw in flaws.items():
            if name in self.fields and name not in self.errors:
                self.add_error(name, flaw.label)
        return data


def _readable(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_KEYSET:
        raise ValueError
    return value


def _lines(text: str) -> list[str]:
    return list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
