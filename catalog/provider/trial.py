"""Trying a provider out, step by step: what works, and who can mend what does not. Changes nothing there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from catalog.provider.errors import ProviderError
from outgoing.failures import Failure, Stage


class StepName(StrEnum):
    """What it takes to work with a provider, in this order; one that has no such step leaves it out."""

    SETTINGS = "settings"
    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    ANSWER = "answer"
    SECRET = "secret"
    ABILITIES = "abilities"
    LOOK = "look"
    LIST = "list"


class Mender(StrEnum):
    OPERATOR = "operator"
    PROVIDER = "provider"
    # It may pass by itself: try again later.
    NOBODY = "nobody"


@dataclass(frozen=True)
class Step:
    """`trouble` is one of `errors.CODES`, empty for a step that works; `failure` says closer what failed on the way
    there, `answer` what the provider said (`ProviderError.answer`).

    Of ABILITIES alone: `says` is what the provider says of itself, `lacks` what we need of it and is not there, both
    in its protocol's own words.
    """

    name: StepName
    trouble: str = ""
    failure: Failure | None = None
    mender: Mender | None = None
    answer: str = ""
    says: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return not self.trouble


@dataclass(frozen=True)
class Abilities:
    says: Sequence[str] = ()
    lacks: Sequence[str] = ()


# What is tried, the last of the steps that its success proves, and how. What it is answered may tell of abilities.
Try = tuple[StepName, Callable[[], Abilities | None]]

_STAGES: Mapping[Stage, StepName] = {
    Stage.ADDRESS: StepName.SETTINGS,
    Stage.RESOLVE: StepName.RESOLVE,
    Stage.CONNECT: StepName.CONNECT,
    Stage.TLS: StepName.TLS,
}
_STEPS: Mapping[str, StepName] = {
    "bad_address": StepName.SETTINGS,
    "no_secret": StepName.SETTINGS,
    "unknown_kind": StepName.SETTINGS,
    "bad_token": StepName.SECRET,
}
_NO_PROPER_ANSWER = frozenset(
    {"answer_too_large", "bad_answer", "connection_lost", "not_found", "rate_limited", "redirected", "server_error"}
    | {"timeout"}
)
_MENDERS: Mapping[str, Mender] = {
    **dict.fromkeys(("bad_address", "no_secret", "unknown_kind", "bad_token", "redirected"), Mender.OPERATOR),
    **dict.fromkeys(("not_found", "bad_answer"), Mender.OPERATOR),  # mostly another address than that of the API
    **dict.fromkeys(("timeout", "rate_limited", "no_turn", "server_error", "connection_lost"), Mender.NOBODY),
}


def failed(name: StepName, error: ProviderError) -> Step:
    failure = error.cause.code if error.cause else None
    mender = _MENDERS.get(error.code, Mender.PROVIDER)
    if failure in (Failure.NAME_UNKNOWN, Failure.TLS_FAILED):
        mender = Mender.OPERATOR
    elif error.code == "unreachable" and failure == Failure.TIMED_OUT:
        mender = Mender.NOBODY
    return Step(name, error.code, failure, mender, error.answer)


def walk(tries: Sequence[Try], *, leave_out: Sequence[StepName] = ()) -> Sequence[Step]:
    """Up to the first step that fails, but for abilities: what a provider says of itself proves nothing."""
    trail = _Trail([name for name in StepName if name not in leave_out])
    for name, attempt in tries:
        try:
            found = attempt()
        except ProviderError as error:
            trail.stop_at(_blamed(error, name, first=trail.ahead[0]), error)
            break
        trail.reach(name, found)
    return trail.steps


@dataclass
class _Trail:
    ahead: list[StepName]
    steps: list[Step] = field(default_factory=list)
    abilities: Abilities = Abilities()

    def reach(self, name: StepName, found: Abilities | None) -> None:
        self.abilities = found or self.abilities
        while self.ahead and _place(self.ahead[0]) <= _place(name):
            self.steps.append(self._good(self.ahead.pop(0)))

    def stop_at(self, name: StepName, error: ProviderError) -> None:
        while self.ahead and _place(self.ahead[0]) < _place(name):
            self.steps.append(self._good(self.ahead.pop(0)))
        self.steps.append(failed(name, error))

    def _good(self, name: StepName) -> Step:
        if name != StepName.ABILITIES:
            return Step(name)
        says, lacks = tuple(self.abilities.says), tuple(self.abilities.lacks)
        trouble, mender = ("not_supported", Mender.PROVIDER) if lacks else ("", None)
        return Step(name, trouble, mender=mender, says=says, lacks=lacks)


def _place(name: StepName) -> int:
    return list(StepName).index(name)


def _blamed(error: ProviderError, tried: StepName, *, first: StepName) -> StepName:
    if error.cause and error.cause.stage in _STAGES:
        return _STAGES[error.cause.stage]
    if not error.cause and not error.answer:  # nothing was sent: nothing more is proved
        return first
    if error.code in _NO_PROPER_ANSWER and _place(first) <= _place(StepName.ANSWER):
        return StepName.ANSWER
    return _STEPS.get(error.code, tried)
