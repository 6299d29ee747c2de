"""Trying a provider out, step by step: what works, and who can mend what does not. Changes nothing there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
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

    Of ABILITIES alone: `says` is what the provider says that it can do, `lacks` what we need of it and is not there,
    both in its protocol's own words.
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
