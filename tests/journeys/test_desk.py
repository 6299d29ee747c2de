"""At the desk, in a real browser: the scanner is a keyboard that ends with Enter, the person reads the code out."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.journeys.conftest import Demo, Member, Staff

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LIBRARY = "Muntpunt"
NADIA, MO = "nadia@leerkaart.test", "mo@leerkaart.test"


def scan(librarian: Staff, number: str) -> None:
    """The cursor stands in the right field already. It does so before the page's script has run."""
    expect(librarian.page.get_by_label("Card number")).to_be_focused()
    librarian.page.wait_for_load_state()
    librarian.page.keyboard.type(number)
    librarian.page.keyboard.press("Enter")


def fill_in(librarian: Staff, member: Member, proof: str) -> None:
    librarian.fill("First name", member.name)
    librarian.fill("Last name", "Peeters")
    librarian.page.get_by_label("Last name").press("Enter")
    expect(librarian.page.get_by_label("Email address", exact=True)).to_be_focused()
    librarian.fill("Email address", member.email)
    librarian.page.get_by_label("In which language").select_option("en")
    for box in librarian.page.get_by_role("checkbox").all():
        box.check()
    librarian.page.get_by_label(proof).check()
    librarian.press("Sign up")


def code_for(member: Member, subject: str) -> str:
    found = re.search(r"\d{4}-\d{4}", member.demo.mail_to(member.email, subject))
    assert found is not None
    return found.group()


def at_the_desk(demo: Demo, browser: Browser, complaints: list[str], email: str = NADIA) -> Staff:
    librarian = Staff(demo, browser, complaints)
    librarian.signs_in(email)
    librarian.follow("Sign somebody up at the desk")
    return librarian


def test_librarian_signs_up_who_reads_the_code_from_the_phone(
    demo: Demo, browser: Browser, complaints: list[str]
) -> None:
    nadia, ada = at_the_desk(demo, browser, complaints), Member(demo, browser, complaints, "Ada")
    scan(nadia, ada.number)
    nadia.page.wait_for_url("**/desk/*/")
    fill_in(nadia, ada, "Yes: we send a code now")

    nadia.reads(ada.email)
    assert demo.accounts_of(ada.email) == []
    nadia.fill("The code that the person reads out", code_for(ada, "for the library"))
    nadia.press("Go on")

    nadia.reads("You have a place")
    expect(nadia.page.get_by_role("button", name="Print")).to_be_visible()
    nadia.page.emulate_media(media="print")
    expect(nadia.page.locator("nav")).to_be_hidden()
    demo.mail_to(ada.email, "ready")
    [account] = demo.accounts_of(ada.email)
    assert account["active"] is True


def test_enter_of_the_scanner_sends_no_half_filled_form(demo: Demo, browser: Browser, complaints: list[str]) -> None:
    """Mo sees all libraries, and has to choose one."""
    mo = at_the_desk(demo, browser, complaints, MO)
    scan(mo, "21000001")
    expect(mo.page.get_by_label("Library")).to_be_focused()
    assert mo.page.url.endswith("/desk/")
    mo.page.get_by_label("Library").select_option(label=LIBRARY)
    mo.page.get_by_label("Card number").press("Enter")
    mo.page.wait_for_url("**/desk/*/")
    mo.reads("21000001")


def test_person_proves_the_address_from_home(demo: Demo, browser: Browser, complaints: list[str]) -> None:
    nadia, bo = at_the_desk(demo, browser, complaints), Member(demo, browser, complaints, "Bo")
    scan(nadia, bo.number)
    nadia.page.wait_for_url("**/desk/*/")
    fill_in(nadia, bo, "No: we send a letter")
    nadia.reads("Your address is not proved yet")

    letter = demo.mail_to(bo.email, "your email address")
    assert [word for word in ("Bo", "Peeters", bo.number) if re.search(rf"\b{word}\b", letter)] == []
    link = re.search(r"http\S+/login/code/", letter)
    assert link is not None
    bo.page.goto(link.group())
    bo.fill("Your email address", bo.email)
    bo.press("Send me a code")
    bo.page.get_by_label("Code").fill(code_for(bo, "Your code for Leerkaart"))
    bo.press("Go on")
    bo.reads("My place")
    bo.reads_after_a_while("Your account is ready")
