"""The provider goes down and comes back, and closes an account without a word, on the whole product."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from portal.sandbox.demo_folder import DemoFolder
from tests.journeys.conftest import Demo, Member, Staff, until
from tests.journeys.test_main_job import LIBRARY, MO, NADIA, confirm_card

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PROVIDER = "SkillsTown"


@pytest.fixture
def down(demo: Demo) -> Iterator[None]:
    """Until the journey brings it back, and in any case for the journeys after it."""
    demo.at_platform("POST", "/faults", {"kind": "down"})
    yield
    demo.at_platform("POST", "/faults", {"clear": True})


def close_without_a_word(demo: Demo, account: dict[str, Any]) -> None:
    """At the platform, which tells the portal nothing of it."""
    token = DemoFolder(demo.folder).lines("secrets")["SANDBOX_PLATFORM_TOKEN"]
    schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
    closing = {"schemas": schemas, "Operations": [{"op": "replace", "path": "active", "value": False}]}
    demo.at_platform("PATCH", f"/v2/Users/{account['id']}", closing, Authorization=f"Bearer {token}")


def finds_it_down(staff: Staff) -> bool:
    """Whether the portal takes it for down by now: a test that fails counts like any other call."""
    staff.press("Test the connection")
    staff.reads("Something went wrong at the provider.")
    staff.follow("Back to the provider")
    return staff.page.get_by_role("button", name="Try now").count() == 1


@pytest.mark.usefixtures("down")
def test_provider_comes_back_and_agrees(demo: Demo, browser: Browser, complaints: list[str]) -> None:
    nadia, ada = Staff(demo, browser, complaints), Member(demo, browser, complaints, "Ada")
    ada.applies(library=LIBRARY)
    ada.reads("A place is held for you")
    nadia.signs_in(NADIA)
    confirm_card(nadia, ada)
    ada.page.goto("/en/my/")
    ada.reads(f"{PROVIDER} opens your account")

    mo = Staff(demo, browser, complaints)
    mo.signs_in(MO)
    mo.page.goto("/en/admin/catalog/provider/")
    mo.follow(PROVIDER)
    until(lambda: finds_it_down(mo), "the provider being down")
    mo.reads("Down since")
    mo.reads("Something went wrong at the provider.")
    demo.at_platform("POST", "/faults", {"clear": True})
    mo.press("Try now")
    mo.reads_after_a_while("Works: the last call was answered.")
    ada.reads_after_a_while("Your account is ready")

    [account] = demo.accounts_of(ada.email)
    close_without_a_word(demo, account)
    mo.page.goto("/en/admin/enrollment/reconciliation/")
    mo.press(f"Compare with {PROVIDER} now")
    mo.page.locator("#result_list tbody a").first.click()
    mo.reads_after_a_while("Closed there, to be open")
    mo.page.get_by_role("row", name="closed there, to be open").get_by_role("button", name="Repair").click()
    until(lambda: [each["active"] for each in demo.accounts_of(ada.email)] == [True], "the opening of the account")
