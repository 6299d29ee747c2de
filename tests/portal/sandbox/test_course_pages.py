"""The pages of the sandbox's courses in Chromium: narrow and wide, with a strict policy and a clean console."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from playwright.sync_api import Page, expect

from tests.course_portal import SUBJECT, Portal, Visitor, platform, portal, to_pick, visitor

__all__ = ["platform", "portal", "visitor"]

pytestmark = pytest.mark.browser

WIDTHS = (360, 1280)


def opened(page: Page, visitor: Visitor, shown: requests.Response) -> list[str]:
    """In a browser with the visitor's cookies; what the console says against it and what it loads from elsewhere."""
    for each in visitor.session.cookies:
        page.context.add_cookies([{"name": each.name, "value": str(each.value), "url": f"{visitor.tool}/courses/"}])
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.extend([request.url] if not request.url.startswith(visitor.tool) else []))
    page.goto(shown.url)
    return said


def too_wide(page: Page) -> list[int]:
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(width)
    return found


def test_course_page_fits_and_its_buttons_work(page: Page, visitor: Visitor, portal: Portal) -> None:
    long: dict[str, Any] = {"name": "Wolfeschlegelsteinhausenbergerdorff " * 3, "email": "a" * 200 + "@example.test"}
    said = opened(page, visitor, visitor.start(SUBJECT, **long))
    page.get_by_text("Everything that came with the start").click()
    assert too_wide(page) == []
    page.get_by_role("button", name="25 %").click()
    expect(page.get_by_role("status")).to_contain_text("You are at 25 %.")
    assert said == []
    portal.answers["/lti/line-items/7/scores"] = (409, "x" * 5000)
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_role("alert")).to_contain_text("Status: 409")
    expect(page.get_by_role("status")).to_contain_text("You are at 25 %.")
    assert too_wide(page) == []


def test_picked_courses_can_be_sent_to_the_portal(page: Page, visitor: Visitor, portal: Portal) -> None:
    portal.answers["/lti/picked"] = (200, "taken")
    said = opened(page, visitor, to_pick(visitor))
    assert too_wide(page) == []
    page.get_by_label("Blind typen").check()
    page.get_by_role("button", name="Pick these").click()
    assert too_wide(page) == []
    assert said == []
    page.get_by_role("button", name="Send them to the portal").click()
    expect(page.locator("body")).to_have_text("taken")
