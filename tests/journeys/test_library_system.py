"""A card proved by its library's system, in a real browser, with the sandbox's library system as the other side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser

from portal.sandbox.library_cards import CARDS, Condition, LibraryCard
from tests.journeys.conftest import Demo, Member, Person

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LIBRARY = "Kortrijk"


def cards(condition: Condition) -> Iterator[LibraryCard]:
    """From the end: what the demo shows to visitors is left alone."""
    return (card for card in reversed(CARDS.values()) if card.condition == condition)


CHILDREN, EXPIRED = cards(Condition.CHILD), cards(Condition.EXPIRED)


@contextmanager
def library_is_down(demo: Demo, browser: Browser, complaints: list[str]) -> Iterator[None]:
    operator = Person(demo, browser, complaints)

    def switch(label: str) -> None:
        operator.page.goto("/en/sandbox/")
        operator.page.get_by_label(label).check()
        operator.page.locator("form:has(input[type=radio]) button").first.click()
        operator.page.wait_for_load_state()

    switch("It is down")
    try:
        yield
    finally:
        switch("Nothing: everything works")


def test_right_pin_opens_the_door_at_once(demo: Demo, browser: Browser, complaints: list[str]) -> None:
    card = next(CHILDREN)
    ada = Member(demo, browser, complaints, "Ada")
    ada.applies(library=LIBRARY, number=card.number, pin=card.pin)
    ada.reads("You have a place")
    ada.page.goto("/en/my/")
    ada.reads_after_a_while("Your account is ready")


def test_what_is_wrong_is_said_and_can_be_corrected_on_the_spot(
    demo: Demo, browser: Browser, complaints: list[str]
) -> None:
    card, expired = next(CHILDREN), next(EXPIRED)
    bo = Member(demo, browser, complaints, "Bo")
    bo.applies(library=LIBRARY, number=card.number, pin="wrong")
    bo.reads("Your library does not find a card with this number and this PIN.")
    assert bo.page.get_by_label("PIN of your library card").input_value() == ""
    bo.fill("Number of your library card", expired.number)
    bo.fill("PIN of your library card", expired.pin)
    bo.press("Apply for your place")
    bo.reads("Your card is no longer valid. Ask your library to renew it.")
    bo.fill("Number of your library card", card.number)
    bo.fill("PIN of your library card", card.pin)
    bo.press("Apply for your place")
    bo.reads("You have a place")


def test_while_the_library_is_silent_the_place_is_held(demo: Demo, browser: Browser, complaints: list[str]) -> None:
    card = next(CHILDREN)
    cy = Member(demo, browser, complaints, "Cy")
    with library_is_down(demo, browser, complaints):
        cy.applies(library=LIBRARY, number=card.number, pin=card.pin)
        cy.reads("The system of your library does not answer now.")
        assert "did not answer when you applied" in demo.mail_to(cy.email, "held")
    cy.page.goto("/en/my/")
    cy.follow("Give my PIN")
    cy.fill("PIN of your library card", card.pin)
    cy.press("Check my card")
    cy.reads("Your card is checked. You have a place.")
    cy.reads_after_a_while("Your account is ready")
