"""A browser holds a page's policy about forms against the provider too: the button must get there, and back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from allauth.socialaccount.models import SocialAccount
from django.conf import LazySettings
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from libraries import openid
from tests.enrollment.views.visiting import newest_code
from tests.factories import make_library, make_programme, make_user
from tests.identity_provider import IdentityProvider, running_provider, settings_for

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def uitid(settings: LazySettings, live_server: LiveServer) -> Iterator[IdentityProvider]:
    settings.SITE_URL = live_server.url
    make_library("Permeke")
    make_programme()
    with running_provider() as provider:
        settings.SOCIALACCOUNT_PROVIDERS = settings_for(provider)
        yield provider


@pytest.mark.parametrize("path", ["/en/join/", "/en/accounts/login/code/"])
def test_button_leads_to_the_provider_and_back_to_the_card(
    page: Page, live_server: LiveServer, uitid: IdentityProvider, path: str
) -> None:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(live_server.url + path)
    page.get_by_role("button", name="Sign in with UiTiD").click()
    expect(page).to_have_url(f"{live_server.url}/en/join/card/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Which library is your card from?")
    assert said == []


def test_without_the_address_in_the_policy_the_browser_stays(
    page: Page, live_server: LiveServer, uitid: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "origins", list)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{live_server.url}/en/join/")
    page.get_by_role("button", name="Sign in with UiTiD").click()
    page.wait_for_timeout(300)
    assert page.url == f"{live_server.url}/en/join/"
    assert "form-action" in said[0]
    assert SocialAccount.objects.count() == 0


def test_member_connects_with_a_code_and_disconnects(
    page: Page, live_server: LiveServer, uitid: IdentityProvider
) -> None:
    make_user()
    page.goto(f"{live_server.url}/en/accounts/login/code/")
    page.get_by_role("button", name="Sign in with UiTiD").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("One more step: your email address")
    expect(page.get_by_label("Your email address")).to_have_value("ada@example.test")
    page.get_by_role("button", name="Send me a code").click()
    page.get_by_label("The code from the mail").fill(newest_code())
    page.get_by_role("button", name="Go on").click()
    expect(page).to_have_url(f"{live_server.url}/en/my/")
    page.get_by_role("button", name="Disconnect UiTiD").click()
    expect(page.get_by_text("You cannot sign in with it any more.")).to_be_visible()
