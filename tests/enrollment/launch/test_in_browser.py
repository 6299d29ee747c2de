"""A start in a browser, to a tool on another site and back: cookies, policies and forms as a browser holds them."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from catalog.models import Tool
from enrollment.launch import keys
from enrollment.models import CourseRun, Enrollment
from tests.enrollment.launch.tool_server import ToolSite, running_tool
from tests.launches import side_of, subject_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

COURSE = "/en/courses/spaans-voor-beginners/"


@pytest.fixture
def site(settings: LazySettings, live_server: LiveServer, tool: Tool) -> Iterator[ToolSite]:
    settings.SITE_URL = live_server.url
    assert urlsplit(live_server.url).hostname == "localhost"
    keys.public_keyset(now=timezone.now())
    with running_tool() as running:
        Tool.objects.update(
            login_url=f"{running.address}/login",
            launch_url=f"{running.address}/launch",
            redirect_uris=[f"{running.address}/launch"],
        )
        tool.refresh_from_db()
        running.side = side_of(tool)
        yield running


@pytest.fixture
def said(page: Page, live_server: LiveServer, signed_in: Client) -> list[str]:
    """What the console says to Ada."""
    said: list[str] = []
    page.context.add_cookies([{"name": "session", "value": signed_in.cookies["session"].value, "url": live_server.url}])
    page.context.on("console", lambda message: said.append(message.text))
    page.context.on("weberror", lambda error: said.append(str(error.error)))
    return said


def start(page: Page, live_server: LiveServer) -> Page:
    page.goto(f"{live_server.url}{COURSE}")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Start (opens a new page)").click()
    return opened.value


@pytest.mark.parametrize("by_form", [False, True], ids=["by a link", "by a form"])
def test_from_the_course_to_the_tool(
    page: Page, live_server: LiveServer, site: ToolSite, said: list[str], ada: Enrollment, by_form: bool
) -> None:
    site.asks_by_form = by_form
    opened = start(page, live_server)
    expect(opened.get_by_role("heading", level=1)).to_have_text("The course")
    (claims,) = site.claims
    assert (claims["sub"], claims["iss"]) == (subject_of(ada), live_server.url)
    assert CourseRun.objects.get().started_at is not None
    assert said == []
    page.reload()
    expect(page.get_by_role("link", name="Go on (opens a new page)")).to_be_visible()


def test_tool_may_send_the_browser_on_to_an_address_that_is_registered(
    page: Page, live_server: LiveServer, site: ToolSite, said: list[str], tool: Tool
) -> None:
    """A browser holds the policy about forms against that too."""
    with running_tool() as player:
        site.sends_on_to = f"{player.address}/player"
        opened = start(page, live_server)
        opened.wait_for_event("console")
        assert "form-action" in said[0]
        Tool.objects.update(redirect_uris=[*tool.redirect_uris, f"{player.address}/"])
        page.goto(f"{live_server.url}{COURSE}start/")
        page.get_by_role("link", name="Go on").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("The player")


def test_without_script_there_is_a_button(
    browser: Browser, live_server: LiveServer, site: ToolSite, signed_in: Client
) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{"name": "session", "value": signed_in.cookies["session"].value, "url": live_server.url}])
    page = context.new_page()
    page.goto(f"{live_server.url}{COURSE}start/")
    page.get_by_role("link", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("On to your course")
    page.get_by_role("button", name="Go on to SkillsTown").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The course")
    context.close()


def test_back_from_the_tool_is_back_at_the_course(
    page: Page, live_server: LiveServer, site: ToolSite, said: list[str]
) -> None:
    """The pages on the way are none to come back to."""
    page.goto(f"{live_server.url}{COURSE}start/")
    page.get_by_role("link", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("The course")
    page.go_back()
    expect(page).to_have_url(f"{live_server.url}{COURSE}start/")
    assert len(site.posted) == 1


def test_link_on_another_site_starts_nothing(
    page: Page, live_server: LiveServer, site: ToolSite, said: list[str]
) -> None:
    page.goto(f"{site.address}/player")
    page.evaluate(f"location.assign('{live_server.url}{COURSE}start/?told')")
    expect(page.get_by_role("heading", name="You can start this course")).to_be_visible()
    assert site.posted == []


def sign_everybody_out() -> None:
    Session.objects.all().delete()
    connection.close()


def test_whoever_signed_out_on_the_way_is_refused(
    page: Page, live_server: LiveServer, site: ToolSite, said: list[str]
) -> None:
    page.goto(f"{live_server.url}{COURSE}start/")
    site.meanwhile = sign_everybody_out
    page.get_by_role("link", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Refused: login_required")
    (posted,) = site.posted
    assert set(posted) == {"error", "error_description", "state"}
    assert said == []
