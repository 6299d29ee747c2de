"""How a provider is reached: with its secret, and on its line. One way for all who ask it something."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from catalog import line
from catalog.models import Provider
from catalog.provider import registry
from catalog.provider.client import MOST_BYTES, Connection, ProviderClient, Turn
from catalog.provider.errors import ProviderError, Refused

# Gives the token that goes with a provider's `secret_name`, or raises LookupError.
SecretOf = Callable[[str], str]


def connection_to(
    provider: Provider,
    *,
    secret_of: SecretOf,
    deadline: float,
    turn: Turn | None = None,
    max_bytes: int = MOST_BYTES,
) -> Connection:
    """`turn`: where more is asked before each request than the line's. Raises Refused "no_secret"."""
    try:
        token = secret_of(provider.secret_name)
    except LookupError:
        raise Refused("no_secret", f"the environment has no {provider.secret_name}") from None
    # A call is over by its deadline, but for what it takes to see that.
    turn = turn or partial(line.turn, provider.pk, expires=deadline + 1)
    return Connection(provider.base_url, token, deadline=deadline, max_bytes=max_bytes, turn=turn)


def client_of(
    provider: Provider,
    *,
    secret_of: SecretOf,
    deadline: float,
    turn: Turn | None = None,
    max_bytes: int = MOST_BYTES,
) -> ProviderClient:
    """The line is told of what fails here, before any call: every other would meet it too. Raises ProviderError."""
    try:
        connection = connection_to(provider, secret_of=secret_of, deadline=deadline, turn=turn, max_bytes=max_bytes)
        return registry.client_for(provider.kind, connection)
    except ProviderError as error:
        line.report(provider.pk, error)
        raise
