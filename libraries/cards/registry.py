"""Which check belongs to which kind of institution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from libraries.cards.by_hand import ByHandCheck
from libraries.cards.checks import AskedSystem, CardCheck
from libraries.cards.koha import KohaCheck
from libraries.cards.roster import RosterCheck, RosterFacts
from libraries.cards.sip2_check import Sip2Check
from libraries.cards.systems import SystemFacts


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the checks need to know of an institution: for a roster, of the one number that is asked about, and for a
    library system, how it is reached."""

    institution_id: int
    second_fact: str = ""
    tells_unknown_cards: bool = False
    key: bytes = field(default=b"", repr=False)
    roster: RosterFacts | None = None
    system: SystemFacts | None = None


class UnknownKind(LookupError):
    """No check of this kind exists."""


def check_for(kind: str, setup: Setup) -> CardCheck:
    if make := _SYSTEMS.get(kind):
        return make(_facts(setup))
    try:
        return _CHECKS[kind](setup)
    except KeyError:
        raise UnknownKind(kind) from None


def system_for(kind: str, setup: Setup) -> AskedSystem:
    """The same for the kinds that ask another system. Raises UnknownKind for the others."""
    try:
        return _SYSTEMS[kind](_facts(setup))
    except KeyError:
        raise UnknownKind(kind) from None


def _facts(setup: Setup) -> SystemFacts:
    if setup.system is None:
        raise UnknownKind("without settings")
    return setup.system


def _by_hand(setup: Setup) -> CardCheck:
    return ByHandCheck()


def _roster(setup: Setup) -> CardCheck:
    return RosterCheck(
        facts=setup.roster,
        kind=setup.second_fact,
        institution_id=setup.institution_id,
        key=setup.key,
        tells_unknown_cards=setup.tells_unknown_cards,
    )


_CHECKS: dict[str, Callable[[Setup], CardCheck]] = {"by_hand": _by_hand, "roster": _roster}
_SYSTEMS: dict[str, Callable[[SystemFacts], AskedSystem]] = {"sip2": Sip2Check, "koha": KohaCheck}
