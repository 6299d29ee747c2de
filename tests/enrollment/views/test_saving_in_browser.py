"""Saving a course where script runs: the part of the page changes, and nothing else is loaded."""

from __future__ import annotations

import pytest
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from enrollment import following
from enrollment.models import CourseRun
from tests.enrollment.launch.learners import seat
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def course_page(page: Page, live_server: LiveServer, client: Client) -> Page:
    """Of a course that Ada may save; what the console says about the page itself fails the test."""
    ada = seat()
    offer_course(ada.pool.programme, make_course("Spaans"))
    client.force_login(ada.user)
    cookie = client.cookies["session"].value
    page.context.add_cookies([{"name": "session", "value": cookie, "url": live_server.url}])
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(f"{live_server.url}/en/courses/spaans/")
    page.evaluate("document.body.dataset.stays = 'yes'")
    return page


def test_course_is_saved_and_taken_away_without_leaving_the_page(course_page: Page) -> None:
    course_page.get_by_role("button", name="Save for later").press("Enter")
    expect(course_page.get_by_text("You saved this course for later.")).to_be_visible()
    away = course_page.get_by_role("button", name="Take it off my list")
    expect(away).to_be_focused()
    assert CourseRun.objects.saved().count() == 1
    away.press("Enter")
    expect(course_page.get_by_role("button", name="Save for later")).to_be_focused()
    assert not CourseRun.objects.exists()
    expect(course_page.locator("body[data-stays]")).to_have_count(1)


def test_what_cannot_be_saved_is_told_beside_the_button(course_page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_SAVED", 0)
    course_page.get_by_role("button", name="Save for later").click()
    expect(course_page.locator("#save").get_by_text("You have saved very many courses")).to_be_visible()
    expect(course_page.locator("body[data-stays]")).to_have_count(1)


def test_whoever_is_signed_out_meanwhile_is_led_to_sign_in(course_page: Page) -> None:
    course_page.context.clear_cookies(name="session")
    course_page.get_by_role("button", name="Save for later").click()
    expect(course_page).to_have_url(
        course_page.url.partition("/en/")[0] + "/en/accounts/login/code/?next=/en/courses/spaans/"
    )


def test_day_is_chosen_in_my_courses(course_page: Page) -> None:
    course_page.get_by_role("button", name="Save for later").click()
    course_page.get_by_role("link", name="See all my courses").click()
    course_page.get_by_text("Remind me by email").click()
    course_page.get_by_role("button", name="In a week").click()
    expect(course_page.get_by_role("button", name="Send me no email")).to_be_visible()
    assert CourseRun.objects.get().remind_on == days_from_now(7)
