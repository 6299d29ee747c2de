"""What an operator fills in about a training company's platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from catalog.models import Provider
from enrollment import provider_checks
from libraries.cards.addresses import Flaw, flaw_of_site
from libraries.secrets import refuse_the_portals
from libraries.settings_forms import ADDRESS_ERRORS
from outgoing.addresses import is_allowed

if TYPE_CHECKING:
    ProviderFormBase = forms.ModelForm[Provider]
else:
    ProviderFormBase = forms.ModelForm

ERRORS = {
    **ADDRESS_ERRORS,
    Flaw.NOT_A_SITE: _("Write the whole address, such as https://platform.example/scim/v2."),
    Flaw.NOT_ENCRYPTED: _("Write https://: without it, the secret and people's data can be read on the way."),
}


class ProviderForm(ProviderFormBase):
    moved = forms.BooleanField(
        label=_("It is the same platform, with the same accounts, at another address"),
        required=False,
        help_text=_("Only for a change of the address of the API. Test the connection afterwards."),
    )

    def clean_secret_name(self) -> str:
        name: str = self.cleaned_data["secret_name"]
        refuse_the_portals(name)
        return name

    def clean_webhook_secret_name(self) -> str:
        name: str = self.cleaned_data["webhook_secret_name"]
        refuse_the_portals(name)
        return name

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if data.get("webhook_secret_name") and data["webhook_secret_name"] == data.get("secret_name"):
            self.add_error("webhook_secret_name", _("Take another secret than the one for the API."))
        for name in {"base_url", "start_url"} & set(self.changed_data) & set(data):
            if flaw := _flaw_of_link(data[name]) if name == "start_url" else _flaw(data[name]):
                self.add_error(name, ERRORS[flaw])
        if {"kind", "base_url"} <= set(data):
            self._check_place(data)
        return data

    def _check_place(self, data: dict[str, Any]) -> None:
        """What the operation would refuse is told beside the field."""
        before = self.instance
        if before.pk is None or not provider_checks.leads_elsewhere(before, data["kind"], data["base_url"]):
            return
        is_other_kind = data["kind"] != before.kind
        if (is_other_kind or not data.get("moved")) and provider_checks.has_accounts(before.pk):
            name = "kind" if is_other_kind else "base_url"
            self.add_error(name, provider_checks.Obstacle.ACCOUNTS_THERE.label)


def _flaw(address: str) -> Flaw | None:
    """A platform may stand in a private network, and only there be asked without encryption."""
    flaw = flaw_of_site(address, private=True)
    if flaw is None and urlsplit(address).scheme == "http" and not _is_near(address):
        return Flaw.NOT_ENCRYPTED
    return flaw


def _flaw_of_link(address: str) -> Flaw | None:
    """Of where people are sent: what follows ? and # is the platform's."""
    return _flaw(address.partition("#")[0].partition("?")[0])


def _is_near(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return settings.ALLOW_PRIVATE_ADDRESSES or host == "localhost" or not is_allowed(host, private=False)
    except ValueError:  # a name
        return False
