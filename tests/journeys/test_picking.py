"""Courses picked at the provider, on the whole product: to the sandbox's courses by LTI deep linking and back, and what
becomes of what was picked."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.sandbox.course_tool_facts import LAUNCH
from portal.sandbox.library_cards import Condition, cards_of
from tests.journeys.conftest import Demo, Member, Staff
from tests.journeys.learning import get_a_place, start

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KNOWN, NEW = "Spaans voor beginners", "Podcasts maken voor beginners"
CARDS = iter(cards_of(Condition.GOOD)[4:8])


@pytest.fixture
def mo(demo: Demo, browser: Browser, complaints: list[str]) -> Staff:
    """A coordinator, at the page of the tool."""
    staff = Staff(demo, browser, complaints)
    staff.signs_in("mo@leerkaart.test")
    staff.page.goto("/en/admin/catalog/provider/")
    staff.page.locator("#result_list tbody a").first.click()
    staff.follow("See and test the tool")
    return staff


def go_there(staff: Staff) -> Page:
    """To the provider: nothing is typed on the way."""
    staff.press("Go and pick courses")
    staff.page.wait_for_url(f"{staff.demo.platform}/courses/at/**")
    return staff.page


def pick(staff: Staff, *titles: str) -> None:
    """There, and back to the page that says what becomes of them."""
    for title in titles:
        staff.page.get_by_label(title, exact=True).check()
    staff.press("Pick these")
    staff.press("Send them to the portal")
    staff.page.wait_for_url(f"{staff.demo.site}/en/admin/catalog/tool/*/picked/*/")


def test_picked_courses_are_registered_and_started(
    demo: Demo, browser: Browser, mo: Staff, complaints: list[str]
) -> None:
    go_there(mo)
    pick(mo, KNOWN, NEW)
    mo.reads("2 courses were picked")
    known, new = (mo.page.get_by_role("region", name=re.compile(f"^{title}")) for title in (KNOWN, NEW))
    expect(known).to_contain_text("known by the same code")
    new.get_by_label("Make it a course").check()
    new.get_by_label("Area").select_option(index=1)
    new.get_by_label("Level").select_option(index=1)
    new.get_by_label("Length in hours").fill("4")
    mo.press("Do this")
    mo.page.wait_for_url("**/change/")
    for told in ("1 course starts at another address from now on.", "1 course is made."):
        expect(mo.page.locator("body")).to_contain_text(told)
    for title in (KNOWN, NEW):
        mo.page.goto("/en/admin/catalog/course/")
        mo.page.get_by_role("link", name=title, exact=True).click()
        expect(mo.page.get_by_label("Address at the provider")).to_have_value(f"{demo.platform}{LAUNCH}")

    ada = Member(demo, browser, complaints, "Ada")
    get_a_place(ada, next(CARDS))
    ada.page.goto(f"/en/courses/{KNOWN.lower().replace(' ', '-')}/")
    expect(start(ada).get_by_role("heading", level=1)).to_have_text(KNOWN)
