"""What a test of a provider's tool came to, step by step, as staff read it: what failed, and who can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext_lazy as _

from catalog.provider.trial import Mender
from enrollment import tool_checks
from enrollment.reports import provider_steps, steps, system_steps
from enrollment.reports.steps import Line, Text
from enrollment.tool_checks import Step, StepName
from outgoing.failures import Failure

STEPS: Mapping[StepName, Text] = {
    StepName.OWN_KEYS: _("Signing with our own keys"),
    StepName.KEYSET: _("Reading the keys of the tool"),
    StepName.LOGIN: _("Reaching the address where a start begins"),
    StepName.LAUNCH: _("Comparing the address of the tool with those an answer may go to"),
    StepName.PICKING: _("Looking for the address where courses are picked"),
}
_TROUBLES: Mapping[str, tuple[Text, Mender]] = {
    tool_checks.OWN_KEYS: (
        _("What the portal signs cannot be checked with the keys that it publishes. Look in its log."),
        Mender.OPERATOR,
    ),
    tool_checks.WEAK: (_("There is no key among them that a message can be checked with."), Mender.PROVIDER),
    tool_checks.ELSEWHERE: (
        _("The address of the tool is not among those an answer may go to. Ask the provider which ones it uses."),
        Mender.OPERATOR,
    ),
    tool_checks.NO_PICKING: (
        _("There is none: courses can be started, and not be picked at the provider. Ask it whether it has one."),
        Mender.OPERATOR,
    ),
    Failure.TIMED_OUT: (_("There was no answer in time."), Mender.NOBODY),
    Failure.REFUSED: (
        _("The server does not let us in: nothing listens at this port, or a firewall stands in between."),
        Mender.PROVIDER,
    ),
    Failure.GARBLED: (
        _("The answer cannot be read: it is something else than what should stand there."),
        Mender.OPERATOR,
    ),
    Failure.TOO_LARGE: (_("The answer is far too long to be right."), Mender.PROVIDER),
    Failure.REDIRECTED: (_("The address leads on to another one. Register that one."), Mender.OPERATOR),
    Failure.LOGIN_REFUSED: (_("The tool does not show it to us. It has to be public."), Mender.PROVIDER),
    Failure.NOT_FOUND: (_("Nothing stands at this address. Look for a slip of the pen."), Mender.OPERATOR),
    Failure.SYSTEM_ERROR: (_("Something went wrong at the tool."), Mender.PROVIDER),
}
# Those of the way to the server that only the settings can mend.
_IN_SETTINGS = (Failure.ADDRESS_UNUSABLE, Failure.ADDRESS_FORBIDDEN, Failure.NAME_UNKNOWN, Failure.TLS_FAILED)


def told(tried: Iterable[Step]) -> dict[str, object]:
    """For a page."""
    return steps.told(map(_line, tried))


def in_words(code: str) -> str:
    """The reason of an event."""
    return str(_TROUBLES[code][0]) if code in _TROUBLES else system_steps.in_words(code)


def _line(step: Step) -> Line:
    if not step.trouble:
        return Line(STEPS[step.name])
    mender = Mender.OPERATOR if step.trouble in _IN_SETTINGS else Mender.PROVIDER
    what: Text = system_steps.in_words(step.trouble)
    if step.trouble in _TROUBLES:
        what, mender = _TROUBLES[step.trouble]
    return Line(STEPS[step.name], what, provider_steps.MENDERS[mender])
