"""The main job, in a real browser, on the whole product: worker processes, broker, mail and provider are all real."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from tests.journeys.conftest import Demo, Member, Staff, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LIBRARY = "Muntpunt"  # its cards are checked by hand, by Nadia
NADIA, MO = "nadia@leerkaart.test", "mo@leerkaart.test"
PROGRAMME = "Leren met je bibkaart"


def confirm_card(librarian: Staff, member: Member) -> None:
    librarian.page.goto("/en/admin/")
    librarian.follow("cards to check")
    librarian.page.get_by_role("row", name=member.number).get_by_role("link").first.click()
    librarian.press("Confirm the card")


def set_cap(coordinator: Staff, number: int, reason: str) -> None:
    coordinator.page.goto("/en/admin/")
    coordinator.follow(PROGRAMME)
    coordinator.follow("Change the number of places")
    coordinator.fill("New number of places", str(number))
    coordinator.fill("Reason", reason)
    coordinator.press("See what this does")
    coordinator.reads("What this does")
    coordinator.press("Do this now")
    coordinator.page.wait_for_url("**/change/")


def taken(coordinator: Staff) -> int:
    coordinator.page.goto("/en/admin/")
    figure = coordinator.page.locator("dl.figures div").filter(has_text="taken").locator("dd")
    return int(figure.inner_text().replace(",", ""))


def test_visitor_becomes_a_member_with_an_account(demo: Demo, browser: Browser, complaints: list[str]) -> None:
    ada = Member(demo, browser, complaints, "Ada")
    ada.applies(library=LIBRARY)
    ada.reads("A place is held for you")
    assert demo.accounts_of(ada.email) == []

    nadia = Staff(demo, browser, complaints)
    nadia.signs_in(NADIA)
    confirm_card(nadia, ada)

    assert "confirmed" in demo.mail_to(ada.email, "card")
    ada.page.goto("/en/my/")
    ada.reads_after_a_while("Your account is ready")
    [account] = demo.accounts_of(ada.email)
    assert account["active"] is True
    demo.mail_to(ada.email, "ready")

    ada.follow("Give your place back")
    ada.press("Give your place back")
    until(lambda: [each["active"] for each in demo.accounts_of(ada.email)] == [False], "the closing of the account")


def test_queue_moves_when_the_coordinator_raises_the_cap(demo: Demo, browser: Browser, complaints: list[str]) -> None:
    mo = Staff(demo, browser, complaints)
    mo.signs_in(MO)
    full = taken(mo)
    set_cap(mo, full, "The budget is spent")

    bo = Member(demo, browser, complaints, "Bo")
    bo.applies(library=LIBRARY)
    bo.reads("You are number 1 in the queue")

    set_cap(mo, 2000, "The partners pay for more")
    bo.page.goto("/en/my/")
    bo.reads_after_a_while("A place is held for you")
    demo.mail_to(bo.email, "held")

    nadia = Staff(demo, browser, complaints)
    nadia.signs_in(NADIA)
    confirm_card(nadia, bo)
    bo.reads_after_a_while("Your account is ready")
