"""What is found when a seeded run is over, or at any moment of it at which nothing is owed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    LOST = "lost"  # what was accepted is not so at the provider, and nothing is owed any more
    DOUBLED = "doubled"  # two accounts for one person
    STUCK = "stuck"  # given up, or never done, without a reason that justifies it
    CLOSED_WRONGLY = "closed wrongly"  # closed or erased at the provider though it must be there
    LEFT_OPEN = "left open"  # open, or there, at the provider though it must not be
    OUTDATED = "outdated"  # the provider holds what is no longer so of the person
    TOLD_EARLY = "told early"  # "ready" before the provider had the account open
    TOLD_TWICE = "told twice"  # more than one letter or event for a seat
    NOT_TOLD = "not told"  # ready, and nobody says so
    OVER_LIMIT = "over the limit"  # more calls than the provider allows
    BROKE = "broke"  # an error that nobody foresaw


@dataclass(frozen=True)
class Finding:
    kind: Kind
    what: str


@dataclass(frozen=True)
class Theirs:
    """An account at the provider."""

    external_id: str | None
    active: bool
    data: tuple[str, ...]


@dataclass(frozen=True)
class Ours:
    """A person: what must be so at the provider, and what the portal thinks of it. `data` are of today."""

    name: str
    external_id: str | None  # None: nothing was ever owed
    must_be_active: bool
    must_be_erased: bool
    data: tuple[str, ...]
    seen: str = "unknown"
    owed: bool = False
    stuck: str = ""


@dataclass(frozen=True)
class Seat:
    """What was told about a seat: letters that say "ready", and events that say the account was opened."""

    name: str
    lasts: bool
    letters: int
    events: int


def at_rest(
    people: Sequence[Ours], accounts: Sequence[Theirs], excused: Mapping[str, str] | None = None
) -> list[Finding]:
    """When nothing is owed, the provider agrees. `excused` gives reasons for which a person may be stuck."""
    theirs: dict[str | None, list[Theirs]] = {}
    for account in accounts:
        theirs.setdefault(account.external_id, []).append(account)
    found = [each for person in people for each in _of(person, theirs.pop(person.external_id, []), excused or {})]
    return found + [Finding(Kind.DOUBLED, f"an account of nobody's: {each}") for each in theirs]


def _of(person: Ours, accounts: Sequence[Theirs], excused: Mapping[str, str]) -> Iterator[Finding]:
    if person.stuck:
        if excused.get(person.name) != person.stuck:
            yield Finding(Kind.STUCK, f"{person.name}: {person.stuck}")
        return
    if person.owed:
        yield Finding(Kind.STUCK, f"{person.name} is owed for ever")
        return
    if len(accounts) > 1:
        yield Finding(Kind.DOUBLED, f"{person.name} has {len(accounts)} accounts")
    for account in accounts:
        yield from _differences(person, account)
    if person.must_be_active and not accounts:
        kind = Kind.CLOSED_WRONGLY if person.seen == "active" else Kind.LOST
        yield Finding(kind, f"{person.name} has a seat and no account; seen: {person.seen}")
    seen = "absent" if not accounts else "active" if accounts[0].active else "inactive"
    if person.external_id is not None and person.seen != seen:
        yield Finding(Kind.LOST, f"{person.name} is {seen}, the portal thinks {person.seen}")


def _differences(person: Ours, account: Theirs) -> Iterator[Finding]:
    if person.must_be_erased:
        yield Finding(Kind.LEFT_OPEN, f"{person.name} is not erased")
    elif account.active and not person.must_be_active:
        yield Finding(Kind.LEFT_OPEN, f"{person.name} has an open account and no seat")
    elif person.must_be_active and not account.active:
        yield Finding(Kind.CLOSED_WRONGLY, f"{person.name} has a seat, and the account is closed")
    elif person.must_be_active and account.data != person.data:
        yield Finding(Kind.OUTDATED, f"{person.name} is {person.data}, the provider holds {account.data}")


def told(seats: Sequence[Seat], ready: Mapping[str, bool]) -> list[Finding]:
    """At the end; `ready` says whose account is open, as the portal sees it."""
    found: list[Finding] = []
    for seat in seats:
        if seat.letters > 1 or seat.events > 1:
            found.append(Finding(Kind.TOLD_TWICE, f"{seat.name}: {seat.letters} letters, {seat.events} events"))
        if seat.letters != seat.events:
            found.append(Finding(Kind.TOLD_TWICE, f"{seat.name}: {seat.letters} letters but {seat.events} events"))
        if seat.lasts and ready.get(seat.name) and not seat.letters:
            found.append(Finding(Kind.NOT_TOLD, f"{seat.name} is ready"))
    return found


def told_early(name: str, accounts: Sequence[Theirs]) -> list[Finding]:
    """At the moment of a letter."""
    if any(account.active for account in accounts):
        return []
    return [Finding(Kind.TOLD_EARLY, f"{name} is told to be ready; there: {list(accounts)}")]


def over_limit(moments: Sequence[float], *, per_second: int) -> list[Finding]:
    """Of calls, in seconds and in order: never more in any second."""
    for first, last in zip(moments, moments[per_second:], strict=False):
        if last - first < 1.0:
            return [Finding(Kind.OVER_LIMIT, f"{per_second + 1} calls within {last - first:.3f} s")]
    return []


def kinds(found: Sequence[Finding]) -> Counter[Kind]:
    return Counter(finding.kind for finding in found)
