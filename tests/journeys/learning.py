"""Members with a place, and how they come to a course of the sandbox's platform."""

from __future__ import annotations

import re

from playwright.sync_api import Page

from portal.sandbox.library_cards import LibraryCard
from tests.journeys.conftest import PATIENCE, Member

# Its library system says at once whether a card is good.
LIBRARY = "Kortrijk"


def get_a_place(member: Member, card: LibraryCard) -> None:
    """And an account at the provider."""
    member.applies(library=LIBRARY, number=card.number, pin=card.pin)
    member.reads("You have a place")
    member.page.goto("/en/my/")
    member.reads_after_a_while("Your account is ready")


def start(member: Member) -> Page:
    """From the course's page to that of the tool: two sites, two redirects and a form, and nothing to type."""
    with member.page.context.expect_page() as opened:
        member.page.get_by_role("link", name=re.compile("^(Start|Go on)")).first.click()
    tool = opened.value
    tool.set_default_timeout(PATIENCE * 1000)
    tool.wait_for_url(f"{member.demo.platform}/courses/at/**")
    return tool
