"""Single sign-on at a platform that speaks no LTI, on the whole product: an operator registers it, a member signs in at
the portal and arrives there signed in. The platform is made with a library that no one here wrote."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.sandbox.library_cards import Condition, cards_of
from tests import relying_party
from tests.journeys.conftest import Demo, Member, Staff, until
from tests.journeys.learning import get_a_place
from tests.relying_party import CALLBACK, Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CARDS = iter(cards_of(Condition.GOOD)[:4])


@pytest.fixture(scope="module")
def platform(demo: Demo, browser: Browser) -> Iterator[Site]:
    """Registered in the workplace; the secret is the one that is shown there once."""
    said: list[str] = []
    ops = Staff(demo, browser, said)
    ops.signs_in("ops@leerkaart.test")
    with relying_party.running_site() as site:
        ops.page.goto("/en/admin/enrollment/signonclient/add/")
        ops.page.locator("select[name=provider]").select_option(index=1)
        ops.page.locator("[name=redirect_uris]").fill(f"{site.address}{CALLBACK}")
        ops.press("Save")
        ops.reads("You will not see it again")
        site.client = relying_party.client_of(demo.site, told_in(ops.page, "client id"), told_in(ops.page, "secret"))
        assert said == []
        yield site


def told_in(page: Page, name: str) -> str:
    return page.locator("dt", has_text=re.compile(name)).locator("xpath=following-sibling::dd[1]").inner_text().strip()


@pytest.fixture
def ada(demo: Demo, browser: Browser, complaints: list[str]) -> Member:
    """With a place, and an account at the provider."""
    member = Member(demo, browser, complaints, "Ada")
    get_a_place(member, next(CARDS))
    return member


def test_member_arrives_signed_in(demo: Demo, platform: Site, ada: Member) -> None:
    """Signed in at the portal already: by a link and by a form, and nothing to type."""
    [account] = demo.accounts_of(ada.email)
    for way in ("link", "button"):
        ada.page.goto(platform.address)
        ada.page.get_by_role(way, name=re.compile("^Sign in")).click()
        ada.page.wait_for_url(f"{platform.address}/")
        ada.reads(account["external_id"])
        ada.page.context.clear_cookies(name="platform")


@pytest.mark.parametrize("language", ["nl", "fr"])
def test_visitor_signs_in_at_the_portal_on_the_way(demo: Demo, platform: Site, ada: Member, language: str) -> None:
    """With a code, as members have no password, in their language; and goes on from there by itself."""
    ada.page.context.clear_cookies()
    ada.page.context.add_cookies([{"name": "language", "value": language, "url": demo.site}])
    ada.page.goto(platform.address)
    ada.page.get_by_role("button", name="Sign in by a form").click()
    expect(ada.page.locator("html")).to_have_attribute("lang", language)
    expect(ada.page.locator("input[type=password]")).to_have_count(0)
    before = codes_to(ada)
    ada.page.locator("main [name=email]").fill(ada.email)
    ada.page.locator("main form button").first.click()
    ada.page.locator("main [name=code]").fill(until(lambda: codes_to(ada) - before, "a code").pop())
    ada.page.locator("main form button").first.click()
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your courses")
    ada.reads(demo.accounts_of(ada.email)[0]["external_id"])


def test_whoever_gave_the_place_back_stays_here(demo: Demo, platform: Site, ada: Member, complaints: list[str]) -> None:
    ada.page.goto("/en/my/")
    ada.follow("Give your place back")
    ada.press("Give your place back")
    ada.page.goto(platform.address)
    ada.page.get_by_role("link", name="Sign in with your library").click()
    expect(ada.page).to_have_url(re.compile(re.escape(demo.site)))
    expect(ada.page.locator("html")).to_have_attribute("lang", "en")
    ada.reads("You have no place there")
    complaints.clear()  # the browser says that the page was refused, which it was to be


def codes_to(member: Member) -> set[str]:
    letters = member.demo.json(f"/sandbox/mail.json?to={quote(member.email)}")
    return {found.group() for each in letters if (found := re.search(r"\b\d{4}-\d{4}\b", each["text"]))}
