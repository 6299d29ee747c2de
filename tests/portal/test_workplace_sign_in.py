"""The whole way into the workplace, as a new member of staff goes it."""

from __future__ import annotations

import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import SECRET_SESSION_KEY, TOTP, format_hotp_value, hotp_value
from django.test import Client
from django.urls import reverse

from tests.factories import PASSWORD, make_librarian

pytestmark = pytest.mark.django_db
PERIOD = 30


def code(secret: str, *, later: int = 0) -> str:
    """Of this half minute, or of a later one: the same code is not taken twice."""
    value: str = format_hotp_value(hotp_value(secret, int(time.time()) // PERIOD + later))
    return value


def enter(client: Client, address: str, **data: str) -> str:
    """Where the answer leads."""
    response = client.post(address, data)
    assert response.status_code == 302, response.content.decode()
    return response.headers["Location"]


def test_librarian_sets_up_a_second_factor_and_comes_in() -> None:
    lin = make_librarian()
    client = Client()
    enter(client, f"{reverse('account_login')}?next=/admin/", login=lin.email, password=PASSWORD)
    blocked = client.get("/admin/", follow=True)
    assert reverse("mfa_activate_totp") in blocked.content.decode()

    activate = reverse("mfa_activate_totp")
    again = client.get(activate).headers["Location"]
    assert enter(client, again, password=PASSWORD) == activate
    client.get(activate)
    secret = client.session[SECRET_SESSION_KEY]
    enter(client, activate, code=code(secret))
    assert Authenticator.objects.filter(user=lin, type=Authenticator.Type.TOTP).count() == 1

    asked = client.get("/admin/", follow=True)
    use = f"{reverse('mfa_reauthenticate')}?next=/admin/"
    assert use in asked.content.decode()
    assert enter(client, use, code=code(secret, later=1)) == "/admin/"
    assert client.get("/admin/").status_code == 200


def test_who_has_a_second_factor_uses_it_at_every_sign_in() -> None:
    lin = make_librarian()
    secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
    TOTP.activate(lin, secret)
    client = Client()
    target = enter(client, f"{reverse('account_login')}?next=/admin/", login=lin.email, password=PASSWORD)
    assert target.startswith(reverse("mfa_authenticate"))
    assert client.get("/admin/").status_code == 302
    assert enter(client, target, code=code(secret)) == "/admin/"
    assert client.get("/admin/").status_code == 200
