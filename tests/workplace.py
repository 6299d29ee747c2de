"""Staff at work, for the tests of the workplace: signed in, with their second factor used in this session."""

from __future__ import annotations

import time

from allauth.account.internal.flows.login import (
    _AUTHENTICATION_METHODS_USER_SESSION_KEY,
    AUTHENTICATION_METHODS_SESSION_KEY,
)
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from libraries.models import User


def give_factor(user: User) -> Authenticator:
    authenticator: Authenticator = TOTP.activate(user, generate_totp_secret()).instance
    return authenticator


def sign_in(user: User, *, factor_used: bool = True) -> Client:
    """As allauth leaves the session behind after the second step of signing in."""
    client = Client(HTTP_ACCEPT_LANGUAGE="nl")
    client.force_login(user)
    if factor_used:
        factor = give_factor(user)
        session = client.session
        session[AUTHENTICATION_METHODS_SESSION_KEY] = [
            {"method": "password", "at": time.time()},
            {"method": "mfa", "at": time.time(), "id": factor.pk, "type": "totp"},
        ]
        session[_AUTHENTICATION_METHODS_USER_SESSION_KEY] = str(user.pk)
        session.save()
    return client
