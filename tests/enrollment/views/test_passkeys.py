"""Passkeys in a real browser, with a virtual authenticator, under our strict policy."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.factories import PASSWORD, make_librarian

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def plug_in(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_passkey_is_added_and_signs_in(page: Page, live_server: Any) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    make_librarian()
    plug_in(page)
    site = f"{live_server.url}/en/accounts"
    page.goto(f"{site}/login/?next=/en/accounts/2fa/webauthn/add/")
    page.get_by_label("Email address").fill("lin@example.test")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    page.get_by_label("Name").fill("My phone")
    page.get_by_label("Sign in with this passkey alone").check()
    page.get_by_role("button", name="Add this passkey").click()
    expect(page.get_by_text("The passkey has been added.")).to_be_visible()
    page.goto(f"{site}/logout/")
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{site}/login/?next=/en/accounts/2fa/webauthn/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("cell", name="My phone")).to_be_visible()
    assert said == []
