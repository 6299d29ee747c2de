"""What a test of the connection to a provider came to, step by step, as staff read it: what failed, who can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django.utils.translation import gettext_lazy as _

from catalog.provider.trial import Mender, Step, StepName
from enrollment.reports import steps, system_steps, troubles
from enrollment.reports.steps import Line, Text
from libraries.cards.checks import Trouble

STEPS: Mapping[StepName, Text] = {
    StepName.SETTINGS: _("Reading the settings"),
    StepName.RESOLVE: _("Finding the server by its name"),
    StepName.CONNECT: _("Reaching the server"),
    StepName.TLS: _("Encrypting the connection"),
    StepName.ANSWER: _("Getting an answer of the platform"),
    StepName.SECRET: _("Being let in with the secret"),
    StepName.ABILITIES: _("Asking what the platform can do"),
    StepName.LOOK: _("Looking for an account"),
    StepName.LIST: _("Reading the list of accounts"),
}
MENDERS: Mapping[Mender, Text] = {
    Mender.OPERATOR: _("the operator of the portal, in the settings of the provider"),
    Mender.PROVIDER: _("whoever looks after the platform at the provider"),
    Mender.NOBODY: _("nobody for now: try again later, and ask the provider when it stays so"),
}
# What failed on the way to the server, where it is said otherwise than of a library system.
_ON_THE_WAY: Mapping[str, Text] = {
    Trouble.TIMED_OUT: _("There was no answer in time."),
}
_FAILURES = frozenset(map(str, Trouble))


def told(tried: Iterable[Step], *, with_answers: bool) -> dict[str, object]:
    """For a page. What the provider answered is for operators."""
    return steps.told(_line(step, with_answers) for step in tried)


def _line(step: Step, with_answers: bool) -> Line:
    what = _what(step) if step.trouble else ""
    mender = MENDERS[step.mender] if step.mender else ""
    answer = step.answer if with_answers else ""
    return Line(STEPS[step.name], what, mender, step.says, step.lacks, answer)


def _what(step: Step) -> Text:
    """As close as it is known."""
    failure = str(step.failure or "")
    if failure not in _FAILURES:
        return troubles.in_words(step.trouble)
    return _ON_THE_WAY.get(failure) or system_steps.in_words(failure)
