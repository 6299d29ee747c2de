"""The card page while there is no room to ask its library: it waits and goes on by itself, with all that was typed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.test import Client
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Programme
from enrollment import asking
from enrollment.models import Enrollment
from enrollment.views import joining
from libraries.cards.checks import Answer, Outcome
from libraries.models import Library
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.enrollment.views.visiting import card_page
from tests.factories import make_institution, make_library, make_system

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    monkeypatch.setattr(joining, "RETRY_AFTER", 1)
    return answer_in_place_of("sip2", monkeypatch)


@pytest.fixture
def kortrijk(programme: Programme) -> Library:
    institution = make_system(make_institution("kortrijk")).institution
    programme.pool.shares.create(institution=institution)
    return make_library("Kortrijk", institution)


@pytest.fixture
def fill(page: Page, live_server: LiveServer, ada: Client, kortrijk: Library) -> Callable[[str], None]:
    """Ada fills in the card page and sends it; what the console says about the page itself fails the test."""
    cookie = ada.cookies["session"].value
    page.context.add_cookies([{"name": "session", "value": cookie, "url": live_server.url}])
    page.on("pageerror", lambda error: pytest.fail(str(error)))

    def send(pin: str) -> None:
        page.goto(f"{live_server.url}{card_page(kortrijk)}")
        for label, text in (
            ("Number of your", "21000001"),
            ("PIN of", pin),
            ("First name", "Ada"),
            ("Last", "Peeters"),
        ):
            page.get_by_label(label).fill(text)
        page.get_by_role("button", name="Apply for your place").click()

    return send


def test_page_goes_on_by_itself_once_there_is_room(
    page: Page, fill: Callable[[str], None], system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = threading.BoundedSemaphore(1)
    room.acquire()
    monkeypatch.setattr(asking, "_room", room)
    fill(PIN)
    expect(page.get_by_role("status")).to_contain_text("You are in line: stay on this page")
    assert page.get_by_label("PIN of").input_value() == PIN
    assert Enrollment.objects.count() == 0
    room.release()
    expect(page.get_by_role("heading", level=1)).to_have_text("You have a place")
    assert (len(system.asked), Enrollment.objects.count()) == (1, 1)


def test_what_is_wrong_is_shown_in_place_and_the_form_still_works(
    page: Page, fill: Callable[[str], None], system: AnsweringSystem
) -> None:
    system.otherwise = Answer(Outcome.EXPIRED)
    fill(PIN)
    expect(page.get_by_role("alert")).to_contain_text("Your card is no longer valid.")
    expect(page.get_by_role("alert")).to_be_focused()
    assert page.get_by_label("First name").input_value() == "Ada"
    system.otherwise = Answer(Outcome.CONFIRMED)
    page.get_by_label("PIN of").fill(PIN)
    page.get_by_role("button", name="Apply for your place").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("You have a place")


def test_without_script_the_browser_sends_the_form_itself(
    page: Page, fill: Callable[[str], None], system: AnsweringSystem
) -> None:
    page.route("**/patient*.js", lambda route: route.abort())
    fill(PIN)
    expect(page.get_by_role("heading", level=1)).to_have_text("You have a place")
