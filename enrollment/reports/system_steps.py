"""What asking a library's system came to, step by step, as staff read it: what failed, and who can mend it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import models
from django.utils.translation import gettext_lazy as _

from enrollment import system_checks
from enrollment.reports.steps import Line, Text
from libraries.cards.checks import Outcome, StepName, Trouble, Walk


class Mender(models.TextChoices):
    OPERATOR = "operator", _("the operator of the portal, in the settings of the library system")
    LIBRARY = "library", _("whoever looks after the library system at your library")
    SUPPLIER = "supplier", _("the supplier of the library system")
    NOBODY = "nobody", _("nobody for now: try again later, and ask the library when it stays so")


STEPS: Mapping[StepName, Text] = {
    StepName.SETTINGS: _("Reading the settings"),
    StepName.RESOLVE: _("Finding the server by its name"),
    StepName.CONNECT: _("Reaching the server"),
    StepName.TLS: _("Encrypting the connection"),
    StepName.LOGIN: _("Logging in"),
    StepName.STATUS: _("Asking whether it is ready"),
    StepName.CARD: _("Asking about the card"),
}
TROUBLES: Mapping[Trouble, tuple[Text, Mender]] = {
    Trouble.SECRET_MISSING: (_("A secret that the settings name is not there."), Mender.OPERATOR),
    Trouble.ADDRESS_UNUSABLE: (_("The address cannot be used. Look at the settings."), Mender.OPERATOR),
    Trouble.ADDRESS_FORBIDDEN: (
        _("The name leads to an address that the portal may not connect to, such as one of a private network."),
        Mender.OPERATOR,
    ),
    Trouble.NAME_UNKNOWN: (_("No server of this name is known. Look for a slip of the pen."), Mender.OPERATOR),
    Trouble.REFUSED: (
        _("The server does not let us in: nothing listens at this port, or a firewall stands in between."),
        Mender.LIBRARY,
    ),
    Trouble.TIMED_OUT: (_("There was no answer in the time that the settings allow."), Mender.NOBODY),
    Trouble.CLOSED: (
        _("The server broke off the connection. Often it knows only the addresses on a list of its own."),
        Mender.LIBRARY,
    ),
    Trouble.TLS_EXPIRED: (_("The certificate of the server has expired."), Mender.LIBRARY),
    Trouble.TLS_OTHER_NAME: (_("The certificate of the server is made out to another name."), Mender.LIBRARY),
    Trouble.TLS_UNTRUSTED: (
        _("The certificate of the server comes from nobody that the portal trusts."),
        Mender.LIBRARY,
    ),
    Trouble.TLS_FAILED: (
        _("No encrypted connection could be made. Perhaps this port expects one without encryption."),
        Mender.OPERATOR,
    ),
    Trouble.LOGIN_REFUSED: (_("The login name or its secret is not accepted."), Mender.OPERATOR),
    Trouble.NOT_ALLOWED: (_("The login is good, but may not ask about cards."), Mender.LIBRARY),
    Trouble.OFFLINE: (_("The library system says that it is not working now."), Mender.NOBODY),
    Trouble.CANNOT_ASK: (
        _(
            "The library system does not answer all the questions about cards that the settings need. Where it answers"
            " none without a PIN, proved cards cannot be asked about again: set those days to 0."
        ),
        Mender.SUPPLIER,
    ),
    Trouble.GARBLED: (
        _("The answer cannot be read. Perhaps the letters or the checksum are set otherwise there."),
        Mender.SUPPLIER,
    ),
    Trouble.OTHER_CARD: (_("The answer is about another card than the one that was asked about."), Mender.SUPPLIER),
    Trouble.INCOMPLETE: (_("The answer does not say what proves a card."), Mender.SUPPLIER),
    Trouble.BUSY: (_("All connections to the library system are in use."), Mender.NOBODY),
    Trouble.SYSTEM_ERROR: (_("Something went wrong in the library system."), Mender.LIBRARY),
}
OUTCOMES: Mapping[str, Text] = {
    Outcome.CONFIRMED: _("The card is known and good."),
    Outcome.UNKNOWN_OR_WRONG: _("The card is not known, or the PIN is wrong. Which of the two is not told."),
    Outcome.UNKNOWN: _("The card is not known."),
    Outcome.WRONG_FACT: _("The second fact does not match the card."),
    Outcome.WRONG_PIN: _("The PIN is wrong."),
    Outcome.EXPIRED: _("The card has expired."),
    Outcome.BLOCKED: _("The card is blocked."),
    Outcome.BY_HAND: _("The library system proves nothing here: a librarian has to look."),
    Outcome.NO_ANSWER: _("The library system gave no answer about this card."),
}
_WORDS: Mapping[str, Text] = {
    system_checks.GOOD: _("Everything works."),
    **{trouble: what for trouble, (what, _mender) in TROUBLES.items()},
    **OUTCOMES,
}


def lines(walk: Walk) -> Sequence[Line]:
    """The steps up to the first that failed."""
    told = [_line(step.name, step.trouble) for step in walk.steps]
    if walk.answer and walk.answer.trouble and all(line.is_good for line in told):
        told.append(_line(StepName.CARD, walk.answer.trouble))
    return told


def told(walk: Walk) -> dict[str, object]:
    """For a page; `answer` is empty where no card was asked about."""
    return {
        "lines": lines(walk),
        "answer": OUTCOMES[walk.answer.outcome] if walk.answer else "",
        "is_good": walk.answer is not None and walk.answer.outcome == Outcome.CONFIRMED,
        "valid_until": walk.answer.valid_until if walk.answer else None,
    }


def in_words(code: str) -> str:
    """The reason of an event; a code nobody has words for is shown as it is."""
    return str(_WORDS.get(code, code))


def _line(name: StepName, trouble: Trouble | None) -> Line:
    if trouble is None:
        return Line(STEPS[name])
    what, mender = TROUBLES[trouble]
    return Line(STEPS[name], what, mender.label)
