"""Who came from an identity provider, remembered in their browser's session for the steps that are left."""

from __future__ import annotations

import time

from django.http import HttpRequest

from libraries.identities import Identity
from libraries.models import User

_WAITING, _NAMES = "identity_waiting", "identity_names"
# Seconds in which an address has to be filled in.
WAITS_FOR = 600


def let_wait(request: HttpRequest, identity: Identity) -> None:
    """Until an address is proved."""
    request.session[_WAITING] = {"identity": identity.as_data(), "since": time.time()}


def waiting(request: HttpRequest) -> Identity | None:
    found = request.session.get(_WAITING)
    if found and time.time() - found["since"] > WAITS_FOR:
        del request.session[_WAITING]
        return None
    return Identity(**found["identity"]) if found else None


def no_longer_waits(request: HttpRequest) -> None:
    """What was told of it stays no longer than it may be of use."""
    request.session.pop(_WAITING, None)


def arrived(request: HttpRequest, identity: Identity, user: User) -> None:
    """Of somebody whose name is not known here, it is proposed on the form for the card."""
    no_longer_waits(request)
    if not user.full_name:
        request.session[_NAMES] = identity.names


def proposed_names(request: HttpRequest) -> dict[str, str]:
    return dict(request.session.get(_NAMES, {}))


def forget_names(request: HttpRequest) -> None:
    request.session.pop(_NAMES, None)
