"""How people sign in: members with a code sent by mail, staff with a password or a passkey.

`User.email` is the only address of a person; allauth's own table of addresses stays empty.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter, get_adapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login_by_code import LoginCodeVerificationProcess
from allauth.account.stages import LoginByCodeStage, LoginStageController
from allauth.core.internal.cryptokit import generate_user_code
from django.conf import settings
from django.contrib.auth import authenticate
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override

from libraries import address_codes, arriving, limits, people
from libraries.identities import Identity
from libraries.models import User

# A code has 8 digits: with so many codes an hour and so many guesses at each, somebody who tries without a pause for
# a year, from many networks, finds one with a chance of 1 in 100.
CODES_PER_EMAIL, GUESSES_PER_CODE = 20, 5
# From one network for one address: a stranger there does not use up what the owner needs.
CODES_PER_EMAIL_AND_NETWORK, PASSWORDS_PER_EMAIL_AND_NETWORK = 8, 10
# From one network: a library's own computers share one, so it is generous for the honest.
CODES_PER_NETWORK = 200
PASSWORDS_PER_EMAIL, PASSWORDS_PER_NETWORK = 40, 100
HOUR = timedelta(hours=1)


class TooManyCodes(Exception):
    """Too many codes were asked for with this email address, or from this network."""


class CannotSend(Exception):
    """The mail server does not answer; nothing was sent and no sign-in was begun."""


class AddressRefused(CannotSend):
    """The mail server answers, and does not take mail for this address."""


def send_code(
    request: HttpRequest, *, email: str, language: str, now: datetime, identity: Identity | None = None
) -> None:
    """Begin a sign-in: send a code and keep in the session what is waited for. An identity goes with this code alone:
    whoever asks for another one on the same computer gets it without.

    Known and unknown addresses go the same way; a person who may not sign in hears it only after the code, when the
    address has been proved. Raises TooManyCodes, CannotSend or AddressRefused.
    """
    email = email.strip().lower()
    _count_code(email, network_of(request), now=now)
    user = people.at(email, language=language)
    with _sending():
        process = LoginCodeVerificationProcess.initiate(request=request, user=user, email=email)
    if identity is None:
        arriving.no_longer_waits(request)
    else:
        process.state["identity"] = identity.as_data()
        process.persist()


def send_address_code(request: HttpRequest, user: User, *, now: datetime) -> None:
    """To somebody at the desk, who reads it to the librarian: it proves the address and lets nobody in. It counts with
    the codes to sign in, and raises the same."""
    _count_code(user.email, network_of(request), now=now)
    adapter = get_adapter()
    code = adapter.generate_login_code()
    address_codes.renew(user, code=code, now=now)
    with _sending(), override(user.language):
        adapter.send_mail("account/email/address_code", user.email, {"code": code})


def _count_code(email: str, network: str, *, now: datetime) -> None:
    for key, limit in (
        (("codes from", network), CODES_PER_NETWORK),
        (("codes for from", email, network), CODES_PER_EMAIL_AND_NETWORK),
        (("codes for", email), CODES_PER_EMAIL),
    ):
        if not limits.allow(*key, limit=limit, per=HOUR, now=now):
            raise TooManyCodes


@contextmanager
def _sending() -> Iterator[None]:
    try:
        yield
    except smtplib.SMTPRecipientsRefused:
        raise AddressRefused from None
    except (smtplib.SMTPException, OSError):
        raise CannotSend from None


def resume(request: HttpRequest) -> LoginCodeVerificationProcess | None:
    """The sign-in that waits for its code here; None when no code is valid any more. One that went to an address which
    the account does not have now is given up."""
    stage = LoginStageController.enter(request, LoginByCodeStage.key)
    process = LoginCodeVerificationProcess.resume(stage) if stage else None
    if process is not None and (process.user is None or process.user.email != process.state["email"]):
        process.abort()
        return None
    return process


def still_goes_to_owner(process: LoginCodeVerificationProcess) -> bool:
    """Whether the account has the address that the code went to, read again. Within a transaction: the row stays locked
    until its end, so that the address stays too."""
    sent_to = {"pk": process.state["user_id"], "email": process.state["email"]}
    return User.objects.select_for_update(no_key=True).filter(**sent_to).first() is not None


def identity_of(process: LoginCodeVerificationProcess) -> Identity | None:
    """The identity that the right code attaches."""
    found = process.state.get("identity")
    return Identity(**found) if found else None


def may_guess(process: LoginCodeVerificationProcess, *, now: datetime) -> bool:
    """Count a guess at a code before it is compared. Counted in the database, because parallel requests each read the
    session as it was before the others wrote it."""
    code = ("guesses at", str(process.state.get("user_id")), str(process.state["at"]))
    return limits.allow(*code, limit=GUESSES_PER_CODE, per=HOUR, now=now)


def network_of(request: HttpRequest) -> str:
    """The network address of the visitor; of IPv6 the half that says whose line it is, for the other half is free to
    choose."""
    address = ip_address(get_adapter().get_client_ip(request))
    return str(address) if address.version == 4 else str(ip_network((address, 64), strict=False).network_address)


def display_of(user: User) -> str:
    """How a passkey names its owner, on the owner's own device."""
    return user.full_name or user.email


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """People come in through /join/ alone."""
        return False

    def generate_login_code(self) -> str:
        return str(generate_user_code(length=8, numeric=True))

    def login(self, request: HttpRequest, user: User) -> None:
        """A code proves the address that it was sent to; a password or an identity proves none."""
        super().login(request, user)
        arriving.no_longer_waits(request)
        for record in get_authentication_records(request, user):
            if record["method"] == "code":
                people.note_proved(user, email=record["email"], now=timezone.now())

    def get_login_redirect_url(self, request: HttpRequest) -> str:
        user = request.user
        return reverse("admin:index" if isinstance(user, User) and user.is_staff else "my_place")

    # --- Mail: every address in it is made of SITE_URL, never of what a request says ---

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        self.render_mail(template_prefix, email, {**context, "email": email, "site_url": settings.SITE_URL}).send()

    def get_reset_password_from_key_url(self, key: str) -> str:
        uid, _, token = key.partition("-")
        return settings.SITE_URL + reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": token})

    # --- Passwords: of staff only ---

    def send_password_reset_mail(self, user: User, email: str, context: dict[str, Any]) -> None:
        if user.is_staff:
            super().send_password_reset_mail(user, email, context)

    def set_password(self, user: User, password: str) -> None:
        if not user.is_staff:
            raise PermissionDenied
        super().set_password(user, password)

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Counts every try, the right ones too, exactly and in the database."""
        email, network = str(credentials.get("email", "")).strip().lower(), network_of(request)
        for key, limit in (
            (("passwords from", network), PASSWORDS_PER_NETWORK),
            (("passwords for from", email, network), PASSWORDS_PER_EMAIL_AND_NETWORK),
            (("passwords for", email), PASSWORDS_PER_EMAIL),
        ):
            if not limits.allow(*key, limit=limit, per=HOUR, now=timezone.now()):
                raise self.validation_error("too_many_login_attempts")

    def reauthenticate(self, user: User, password: str) -> bool:
        self.pre_authenticate(self.request, email=user.email)
        return authenticate(self.request, email=user.email, password=password) == user
