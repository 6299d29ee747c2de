"""A librarian sends a list of cards: with a script it says how far it is, and the report takes the page's place."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, FilePayload

from tests.journeys.conftest import Demo, Staff

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LINES = 20_000
# What the progress says, as it says it: it is gone as soon as the report is there.
LISTEN = """() => {
  window.said = [];
  const place = document.querySelector("[data-reading]");
  const note = () => place.hidden || window.said.push(place.querySelector("span").textContent);
  new MutationObserver(note).observe(place, { attributes: true, childList: true, subtree: true });
}"""


def choose(librarian: Staff, text: str) -> None:
    file: FilePayload = {"name": "cards.csv", "mimeType": "text/csv", "buffer": text.encode()}
    librarian.page.locator("input[type=file]").set_input_files(file)


def test_list_of_cards_is_checked_with_progress_and_then_imported(
    demo: Demo, browser: Browser, complaints: list[str]
) -> None:
    lin = Staff(demo, browser, complaints)
    lin.signs_in("lin@leerkaart.test")
    lin.page.goto("/en/admin/libraries/roster/upload/")
    lines = ["number;valid_until;birth_date", *(f"9{number:07};2030-01-01;1990-01-01" for number in range(LINES))]
    choose(lin, "\n".join([*lines, ""]))
    lin.page.evaluate(LISTEN)
    lin.page.get_by_role("button", name="Send the file").click()
    lin.reads("Checked: nothing has changed")
    lin.reads("20,000")
    said = lin.page.evaluate("window.said")
    assert said[0] == "The file is being sent."
    assert said[-1].startswith("The list is being read and checked.")

    choose(lin, "not a list")
    lin.page.get_by_role("button", name="Send the file").click()
    lin.page.locator("[data-focus]").wait_for()
    assert lin.page.evaluate("document.activeElement.hasAttribute('data-focus')")
