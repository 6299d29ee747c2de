"""Results come while typing, without leaving the field; and by the form where there is no script."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from pytest_django.live_server_helper import LiveServer

from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import make_library, make_programme

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def address(live_server: LiveServer) -> str:
    programme = make_programme(institutions=[make_library().institution])
    offer_course(programme, make_course("Spaans voor beginners"))
    offer_course(programme, make_course("Beter slapen", area="health", level="starter"))
    offer_course(programme, make_course("Rustig slapen", area="health", language="fr"))
    return f"{live_server.url}/en/courses/"


@pytest.fixture
def courses(page: Page, address: str) -> Page:
    """What the browser says of the page itself, of its policy too, fails the test."""
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.on("console", lambda said: pytest.fail(said.text) if said.type == "error" else None)
    page.goto(address)
    return page


def test_results_come_while_typing(courses: Page) -> None:
    words = courses.get_by_label("Search")
    words.press_sequentially("slapn", delay=20)
    expect(courses.locator("#count h2")).to_have_text("2 courses")
    expect(courses.get_by_text("No course has “slapn”")).to_be_visible()
    expect(words).to_be_focused()
    expect(words).to_have_value("slapn")
    expect(courses).to_have_url(re.compile(r"/en/courses/\?words=slapn$"))
    expect(courses.locator("#language").locator("option")).to_have_text(["All", "Dutch (1)", "French (1)"])
    courses.locator("#language").select_option("fr")
    expect(courses.locator("#count h2")).to_have_text("1 course")
    expect(courses.locator("#language")).to_have_value("fr")
    expect(courses.locator(".languages button").first).to_have_attribute("formaction", re.compile("words%3Dslapn"))
    words.fill("")
    courses.locator("#language").select_option("")
    expect(courses.locator("#count h2")).to_have_text("3 courses")
    expect(courses).to_have_url(re.compile(r"/en/courses/$"))


def test_an_answer_that_comes_too_late_is_dropped(courses: Page) -> None:
    held: list[Route] = []
    courses.route("**/?words=spaans", lambda route: held.append(route))
    words = courses.get_by_label("Search")
    words.fill("spaans")
    while not held:
        courses.wait_for_timeout(50)
    words.fill("beter")
    expect(courses.locator("#count h2")).to_have_text("1 course")
    held[0].fulfill(body="<p id=count>old</p><p id=results>old</p>", content_type="text/html")
    courses.wait_for_timeout(100)
    expect(courses.locator("#results")).to_contain_text("Beter slapen")


def test_course_page_breaks_no_policy(courses: Page) -> None:
    """With its data for search engines: a script element that is not run."""
    courses.get_by_role("link", name="Beter slapen").click()
    expect(courses.get_by_role("heading", level=1)).to_have_text("Beter slapen")
    assert courses.locator('script[type="application/ld+json"]').count() == 1


def test_without_script_the_form_does_it(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    page.get_by_label("Search").fill("slapen")
    page.get_by_label("Subject").select_option("health")
    page.get_by_role("button", name="Show").click()
    assert page.locator("#count h2").inner_text() == "2 courses"
    assert page.get_by_label("Search").input_value() == "slapen"
    context.close()
