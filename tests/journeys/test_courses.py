"""The whole circle of a course, on the whole product: search, start, the course itself, progress and certificate in the
portal. No password is typed, and the provider is told no more than that this is one of its accounts."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from pypdf import PdfReader

from portal.sandbox.library_cards import Condition, cards_of
from tests.journeys.conftest import Demo, Member, until
from tests.journeys.learning import get_a_place, start

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CARDS = iter(cards_of(Condition.CHILD)[6:])
WORDS, TITLE, ANOTHER = "draaitabellen", "Excel: draaitabellen en grafieken", "Blind typen"


@pytest.fixture
def ada(demo: Demo, browser: Browser, complaints: list[str]) -> Member:
    """With a place, and an account at the provider."""
    member = Member(demo, browser, complaints, "Ada")
    get_a_place(member, next(CARDS))
    return member


def wish_for_letters(member: Member) -> None:
    member.page.goto("/en/my/")
    wish = member.page.get_by_label("Write to me when I have finished a course")
    wish.check()
    member.page.locator("form", has=wish).get_by_role("button").click()


def find(member: Member) -> None:
    """The course, among all of them, by a word of its title."""
    member.page.goto("/en/courses/")
    member.page.locator("main [name=words]").fill(WORDS)
    member.page.keyboard.press("Enter")
    expect(member.page.get_by_role("link", name=ANOTHER)).to_have_count(0)
    member.page.get_by_role("link", name=TITLE).first.click()
    expect(member.page.get_by_role("heading", level=1)).to_contain_text(TITLE)


def claims_on(tool: Page) -> str:
    tool.get_by_text("Everything that came with the start").click()
    return tool.locator("pre").inner_text()


def on_my_place(member: Member) -> Any:
    """What stands there of the course."""
    member.page.goto("/en/my/")
    return member.page.locator("li", has=member.page.get_by_role("link", name=TITLE, exact=True)).first


def test_whole_circle_of_a_course(demo: Demo, ada: Member, complaints: list[str], tmp_path: Path) -> None:
    wish_for_letters(ada)
    find(ada)
    tool = start(ada)
    tool.on("console", lambda message: complaints.append(f"{tool.url}: {message.text}"))
    expect(tool.get_by_role("heading", level=1)).to_have_text(TITLE)
    [account] = demo.accounts_of(ada.email)
    told = claims_on(tool)
    assert account["external_id"] in told
    assert not [word for word in (ada.email, "Ada", "Peeters") if word in told]

    tool.get_by_role("button", name="25 %").click()
    expect(tool.get_by_role("status")).to_contain_text("You are at 25 %.")
    expect(on_my_place(ada)).to_contain_text("25 %")

    tool.get_by_role("button", name="Done").click()
    expect(tool.get_by_role("status")).to_contain_text("You are at 100 %.")
    expect(on_my_place(ada)).to_contain_text("Finished on")
    text = certificate(ada, tmp_path)
    assert TITLE in text
    assert "Ada Peeters" in text
    check(ada, text)
    assert TITLE in demo.mail_to(ada.email, TITLE)

    tool.get_by_role("link", name="Back to the portal").click()
    expect(tool.get_by_role("heading", level=1)).to_contain_text(TITLE)


def certificate(member: Member, folder: Path) -> str:
    with member.page.expect_download() as download:
        on_my_place(member).get_by_role("link", name=re.compile("Certificate")).click()
    download.value.save_as(folder / "certificate.pdf")
    pages = PdfReader(BytesIO((folder / "certificate.pdf").read_bytes())).pages
    return " ".join(" ".join(page.extract_text() for page in pages).split())


def check(member: Member, text: str) -> None:
    """Somebody who is shown the paper, with a browser of their own."""
    code = re.search(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4}\b", text)
    assert code is not None
    browser = member.page.context.browser
    assert browser is not None
    page = browser.new_context(base_url=member.demo.site).new_page()
    page.goto("/en/certificates/")
    page.get_by_label("Code on the certificate").fill(code.group().lower())
    page.get_by_role("button", name="Check the code").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("This certificate is real")
    expect(page.locator("main")).to_contain_text(TITLE)
    expect(page.locator("main")).not_to_contain_text("Peeters")


def test_whoever_is_forgotten_starts_anew_and_without_an_account_nobody_starts(
    demo: Demo, ada: Member, complaints: list[str]
) -> None:
    find(ada)
    tool = start(ada)
    tool.get_by_role("button", name="Forget me").click()
    expect(tool.get_by_role("heading", level=1)).to_have_text("Forgotten")
    [account] = demo.accounts_of(ada.email)
    assert account["external_id"] not in (demo.folder / "course_tool.json").read_text()
    expect(on_my_place(ada)).to_contain_text("Started on")

    find(ada)
    again = start(ada)
    expect(again.get_by_role("status")).to_contain_text("Nothing yet.")

    ada.page.goto("/en/my/")
    ada.follow("Give your place back")
    ada.press("Give your place back")
    until(lambda: [each["active"] for each in demo.accounts_of(ada.email)] == [False], "the closing of the account")
    again.reload()
    expect(again.locator("main")).to_contain_text("You have no account here.")
    complaints.clear()  # the browser says that the page was refused, which it was to be
    find(ada)
    ada.reads("You cannot start this course now")
