"""What an operator fills in about an institution: which numbers its cards have, and how its library system is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from libraries.cards import addresses, patterns
from libraries.cards.addresses import Flaw
from libraries.models import Institution, LibrarySystem, RosterSource

if TYPE_CHECKING:
    InstitutionModelForm = forms.ModelForm[Institution]
    SystemModelForm = forms.ModelForm[LibrarySystem]
    SourceModelForm = forms.ModelForm[RosterSource]
else:
    InstitutionModelForm = SystemModelForm = SourceModelForm = forms.ModelForm

PATTERN_ERRORS = {
    patterns.Flaw.TOO_MANY: _("Line %(line)d: write at most 20 patterns."),
    patterns.Flaw.TOO_LONG: _("Line %(line)d: a card number has at most 40 digits and letters."),
    patterns.Flaw.BAD_SIGN: _("Line %(line)d: use digits, letters, # and @ only, and * at the end."),
    patterns.Flaw.STAR_INSIDE: _("Line %(line)d: the * stands once, at the end."),
}
ADDRESS_ERRORS = {
    Flaw.NOT_A_HOST: _(
        "For SIP2, write the name of the server alone, such as sip.library.example: no https://, no port, no path."
    ),
    Flaw.NOT_A_SITE: _("For Koha, write the whole address of its site, such as https://koha.library.example."),
    Flaw.NOT_ENCRYPTED: _("Write https://: without it, card numbers and PINs can be read on the way."),
    Flaw.CREDENTIALS: _("Write no name and no password in the address."),
    Flaw.QUERY: _("Write the address without ? and # and what follows them."),
    Flaw.FORBIDDEN: _("The portal may not connect to this address."),
}


class InstitutionForm(InstitutionModelForm):
    def clean_number_patterns(self) -> str:
        text: str = self.cleaned_data["number_patterns"]
        errors = [
            ValidationError(PATTERN_ERRORS[each.flaw], params={"line": each.line}) for each in patterns.problems(text)
        ]
        if errors:
            raise ValidationError(errors)
        return text

    def clean_card_check(self) -> str:
        """A way that asks a system needs the system's settings, and an address of its own kind."""
        kind: str = self.cleaned_data["card_check"]
        if kind not in Institution.ASKED:
            return kind
        system = LibrarySystem.objects.filter(institution=self.instance.pk).first()
        if system is None:
            raise ValidationError(
                _("Fill in how its library system is reached first, under “Library systems”. Then choose this.")
            )
        if flaw := _flaw(kind, system.address):
            raise ValidationError([_("The address in its library system does not fit this."), ADDRESS_ERRORS[flaw]])
        return kind


class SystemForm(SystemModelForm):
    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name in ("institution_code", "location", "login"):
            if not _fits_a_message(data.get(name, "")):
                self.add_error(name, _("Use letters, digits and signs on one line, without |."))
        if address := data.get("address"):
            self._check_address(address, data)
        return data

    def _check_address(self, address: str, data: dict[str, Any]) -> None:
        institution = data.get("institution") or Institution.objects.filter(pk=self.instance.institution_id).first()
        kind = institution.card_check if institution else ""
        if flaw := _flaw(kind, address):
            self.add_error("address", ADDRESS_ERRORS[flaw])
        elif addresses.is_site(address):
            if not (data.get("login") and data.get("secret_name")):
                self.add_error("login", _("Koha is asked with a login name and a secret: fill in both."))
        elif not data.get("tls") and not settings.ALLOW_PRIVATE_ADDRESSES:
            self.add_error("tls", _("Without encryption only where the portal may ask private networks."))


class RosterSourceForm(SourceModelForm):
    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("way") == RosterSource.Way.DOWNLOAD and "address" in data:
            self._check_address(data["address"])
        return data

    def _check_address(self, address: str) -> None:
        """A list is only downloaded with encryption, from a private network too."""
        flaw = addresses.flaw_of_site(address, private=settings.ALLOW_PRIVATE_ADDRESSES)
        if flaw in (Flaw.QUERY, Flaw.FORBIDDEN):
            self.add_error("address", ADDRESS_ERRORS[flaw])
        elif flaw or not address.lower().startswith("https:"):
            self.add_error("address", _("Write an address that begins with https://, without a password."))


def _flaw(kind: str, address: str) -> Flaw | None:
    """While an institution's cards are not checked by asking, its system's address may be of either kind."""
    private = settings.ALLOW_PRIVATE_ADDRESSES
    site = kind == Institution.CardCheck.KOHA or (kind not in Institution.ASKED and addresses.is_site(address))
    check = addresses.flaw_of_site if site else addresses.flaw_of_host
    return check(address, private=private)


def _fits_a_message(text: str) -> bool:
    return text.isprintable() and "|" not in text
