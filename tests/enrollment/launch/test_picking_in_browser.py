"""Courses picked at the sandbox's courses in a browser, which is sent to another site and back: what becomes of a
choice of nothing, of one that is sent again, and of one that comes when nobody is signed in any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Tool
from enrollment.launch import keys
from enrollment.models import Picking
from libraries.models import User
from portal.sandbox.course_tool_facts import CLIENT_ID, DEEP_LINKING, DEPLOYMENT_ID, KEYSET, LAUNCH, LOGIN
from tests.course_portal import running_courses
from tests.factories import make_coordinator, make_provider
from tests.tools import make_tool
from tests.workplace import sign_in

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

COURSE, OTHER = "Spaans voor beginners", "Frans voor beginners"


@pytest.fixture
def tool(settings: Any, live_server: LiveServer, tmp_path: Path) -> Iterator[Tool]:
    """To a browser, the portal (localhost) and the courses (127.0.0.1) are two sites."""
    settings.SITE_URL = live_server.url
    keys.public_keyset(now=timezone.now())
    with running_courses(tmp_path / "accounts.jsonl", live_server.url) as courses:
        at = courses.server.address
        yield make_tool(
            make_provider(),
            client_id=CLIENT_ID,
            deployment_id=DEPLOYMENT_ID,
            login_url=f"{at}{LOGIN}",
            launch_url=f"{at}{LAUNCH}",
            redirect_uris=[f"{at}{LAUNCH}", f"{at}{DEEP_LINKING}"],
            deep_linking_url=f"{at}{DEEP_LINKING}",
            keyset=None,
            keyset_url=f"{at}{KEYSET}",
        )


@pytest.fixture
def mo(transactional_db: None) -> User:
    return make_coordinator()


@pytest.fixture
def said(page: Page, live_server: LiveServer, mo: User) -> list[str]:
    """What the console says to Mo, who is signed in."""
    said: list[str] = []
    session = sign_in(mo).cookies["session"].value
    page.context.add_cookies([{"name": "session", "value": session, "url": live_server.url}])
    page.context.on("console", lambda message: said.append(message.text))
    return said


@pytest.fixture
def there(page: Page, live_server: LiveServer, tool: Tool, said: list[str]) -> Page:
    """Where courses are picked."""
    page.goto(f"{live_server.url}/en/admin/catalog/tool/{tool.pk}/change/")
    page.get_by_role("button", name="Go and pick courses").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Pick courses")
    return page


def pick(page: Page, *titles: str) -> None:
    for title in titles:
        page.get_by_label(title, exact=True).check()
    page.get_by_role("button", name="Pick these").click()
    page.get_by_role("button", name="Send them to the portal").click()


def test_choice_comes_back_from_another_site(there: Page, said: list[str]) -> None:
    pick(there, COURSE, OTHER)
    expect(there.locator("main")).to_contain_text("2 courses were picked")
    assert said == []


def test_nothing_is_picked(there: Page, said: list[str]) -> None:
    there.get_by_role("button", name="Pick these").click()
    expect(there.get_by_role("alert")).to_contain_text("Pick a course first.")
    there.get_by_role("button", name="Pick nothing").click()
    there.get_by_role("button", name="Send this to the portal").click()
    expect(there.locator("main")).to_contain_text("Nothing was picked.")
    expect(there.locator("main").get_by_role("button", name="Do this")).to_have_count(0)
    assert said == []


def test_choice_is_sent_once_whatever_is_pressed(there: Page, said: list[str]) -> None:
    """Whoever is refused comes without a cookie: in the portal's first language."""
    offer, refused = there.url, "Deze keuze van cursussen kunnen we niet aannemen"
    there.get_by_label(COURSE, exact=True).check()
    there.get_by_role("button", name="Pick these").click()
    copy = there.context.new_page()
    copy.set_content(there.content())
    for page, heading in ((there, "Courses picked at the provider"), (copy, refused)):
        page.get_by_role("button", name="Send them to the portal").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(heading)
    there.goto(offer)
    pick(there, OTHER)
    expect(there.get_by_role("heading", level=1)).to_have_text(refused)
    there.get_by_role("link", name="Naar de werkplek").click()
    there.wait_for_url("**/admin/")
    assert [[each["title"] for each in picking.items] for picking in Picking.objects.all()] == [[COURSE]]


def test_choice_waits_for_whoever_signs_in_again(there: Page, live_server: LiveServer) -> None:
    ended = Session.objects.get()
    Session.objects.all().delete()
    connection.close()
    pick(there, COURSE)
    expect(there.get_by_role("heading", level=1)).to_have_text("Sign in to the workplace")
    ended.save()
    connection.close()
    there.context.add_cookies([{"name": "session", "value": ended.pk, "url": live_server.url}])
    there.reload()
    expect(there.locator("main")).to_contain_text("1 course was picked")
