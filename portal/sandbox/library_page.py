"""The library system on the sandbox's page: cards to try it with, and its fault of the moment."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.sandbox.library_cards import Condition, LibraryCard, cards_of
from portal.sandbox.library_faults import FaultFile, Kind
from portal.sandbox.only import refuse_outside_the_sandbox

refuse_outside_the_sandbox()

SHOWN_GOOD, SHOWN_OTHERS = 6, 2
DOES = {
    Condition.GOOD: _("is confirmed at once"),
    Condition.CHILD: _("is a child's, and is confirmed at once"),
    Condition.EXPIRED: _("is no longer valid"),
    Condition.OVER: _("is no longer valid, which only its date says"),
    Condition.BLOCKED: _("is blocked at the desk"),
    Condition.LOST: _("was reported lost"),
    Condition.FINES: _("is blocked because of unpaid fines"),
    Condition.GONE: _("belongs to somebody who is no longer a member"),
    Condition.WITHOUT_PIN: _("has no PIN, so that nothing proves whose it is"),
}
FAULTS = {
    Kind.DOWN: _("It is down: nobody answers at its address"),
    Kind.SLOW: _("It is slow: every answer takes two seconds longer"),
    Kind.NEVER_ANSWERS: _("It takes every question and never answers"),
    Kind.DRIPS: _("Its answers come letter by letter, five in a second"),
    Kind.CLOSES_AFTER_LOGIN: _("It hangs up after signing in"),
    Kind.CUT_FRAME: _("It hangs up in the middle of an answer"),
    Kind.TWO_FRAMES: _("It gives every answer twice"),
    Kind.TOO_LONG: _("Its answer never ends"),
    Kind.GARBAGE: _("Its answers make no sense"),
    Kind.BAD_CHECKSUM: _("The checksum of its answers is wrong"),
    Kind.WRONG_SEQUENCE: _("Its answers bear the number of another question"),
    Kind.OTHER_CARD: _("It answers about another card than was asked about"),
    Kind.MISSING_CQ: _("Its answers do not say whether the PIN is right"),
    Kind.OFFLINE: _("It says that it is out of service, to who asks that"),
}


class FaultForm(forms.Form):
    fault = forms.ChoiceField(
        label=_("What goes wrong"),
        choices=[("", _("Nothing: everything works")), *FAULTS.items()],
        required=False,
        widget=forms.RadioSelect,
    )


def cards_to_try() -> list[tuple[LibraryCard, Promise | str]]:
    """The first of each condition: the demo's members have the last ones."""
    return [
        (card, does)
        for condition, does in DOES.items()
        for card in cards_of(condition)[: SHOWN_GOOD if condition == Condition.GOOD else SHOWN_OTHERS]
    ]


def fault_form() -> FaultForm:
    return FaultForm(initial={"fault": _file().read() or ""})


@require_POST
def switch_fault(request: HttpRequest) -> HttpResponseBase:
    form = FaultForm(request.POST)
    if not form.is_valid():
        return HttpResponseBadRequest()
    fault = form.cleaned_data["fault"]
    _file().switch(Kind(fault) if fault else None)
    return HttpResponseRedirect(f"{reverse('sandbox')}#faults")


def _file() -> FaultFile:
    return FaultFile(settings.SANDBOX_LIBRARY_FAULT)
