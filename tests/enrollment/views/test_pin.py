"""The PIN on the card page and on the page to come back with it: what is typed, and what the library's system says."""

from __future__ import annotations

import threading

import pytest
from django.test import Client

from catalog.models import Programme
from enrollment import asking
from enrollment.models import Enrollment, Letter
from libraries.cards.checks import Answer, Outcome, Trouble
from libraries.models import Card, Institution, Library, LibrarySystem, User
from tests.card_systems import PIN, AnsweringSystem, answer_in_place_of
from tests.enrollment.views.visiting import apply, card_page, errors_of, heading_of, words_of
from tests.factories import make_institution, make_library, make_member, make_system

pytestmark = pytest.mark.django_db

NOT_FOUND = "Your library does not find a card with this number and this PIN. Check both, and type your PIN again."
DOWN = Answer(Outcome.NO_ANSWER, trouble=Trouble.TIMED_OUT)


@pytest.fixture
def kortrijk(programme: Programme) -> Library:
    institution = make_system(make_institution("kortrijk")).institution
    programme.pool.shares.create(institution=institution)
    return make_library("Kortrijk", institution)


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> AnsweringSystem:
    return answer_in_place_of("sip2", monkeypatch)


def asks_pin(client: Client, library: Library) -> bool:
    return 'name="pin"' in client.get(card_page(library)).content.decode()


def test_pin_is_asked_only_where_it_is_needed(
    ada: Client, kortrijk: Library, permeke: Library, system: AnsweringSystem
) -> None:
    assert (asks_pin(ada, kortrijk), asks_pin(ada, permeke)) == (True, False)
    LibrarySystem.objects.update(asks_pin=False)
    assert not asks_pin(ada, kortrijk)


def test_pin_is_called_what_the_library_calls_it(ada: Client, kortrijk: Library, system: AnsweringSystem) -> None:
    assert "PIN of your library card" in words_of(ada.get(card_page(kortrijk)))
    LibrarySystem.objects.update(pin_name="Wachtwoord <Mijn Bib>")
    page = ada.get(card_page(kortrijk))
    assert "Wachtwoord <Mijn Bib>" in words_of(page)
    assert "<Mijn" not in page.content.decode()


def test_right_pin_opens_the_door(ada: Client, kortrijk: Library, system: AnsweringSystem) -> None:
    page = ada.get(apply(ada, kortrijk, pin=PIN)["Location"])
    assert heading_of(page) == "You have a place"


@pytest.mark.parametrize(
    ("pin", "error"),
    [
        ("", "Fill in the PIN of your library card."),
        ("   ", "Fill in the PIN of your library card."),
        ("1" * 101, "This is too long for a PIN."),
        ("1" * 10_000, "This is too long for a PIN."),
        ("12\r99", "A PIN has only letters, digits and signs. Type it again."),
        ("12\n", "Fill in the PIN"),
        ("12\x1b34", "A PIN has only letters, digits and signs. Type it again."),
        ("12\u202834", "A PIN has only letters, digits and signs. Type it again."),
        ("93.05.18-223.61", "This looks like your national register number. We are not allowed to keep that. "
         "Use the number of your library card."),
    ],
)  # fmt: skip
def test_pin_that_cannot_be_one_is_explained_and_asked_of_nobody(
    ada: Client, kortrijk: Library, system: AnsweringSystem, pin: str, error: str
) -> None:
    page = apply(ada, kortrijk, pin=pin)
    if pin == "12\n":  # what surrounds it falls away
        assert [question.pin for question in system.asked] == ["12"]
        return
    assert (errors_of(page), system.asked, Card.objects.count()) == ({"pin": [error]}, [], 0)
    assert pin not in page.content.decode() or not pin.strip()


def test_nul_is_refused_in_words(ada: Client, kortrijk: Library, system: AnsweringSystem) -> None:
    page = apply(ada, kortrijk, pin="12\x0034")
    assert (page.status_code, set(errors_of(page)), system.asked) == (200, {"pin"}, [])


@pytest.mark.parametrize(
    ("outcome", "field", "said"),
    [
        (Outcome.UNKNOWN_OR_WRONG, "number", NOT_FOUND),
        (Outcome.UNKNOWN, "number", "Your library does not know this number. Check it against your card."),
        (Outcome.WRONG_PIN, "pin", "This is not the PIN of your card. Check it and type it again."),
        (Outcome.EXPIRED, "number", "Your card is no longer valid. Ask your library to renew it."),
        (Outcome.BLOCKED, "number", "Your card is blocked. Ask at the desk of your library."),
    ],
)  # fmt: skip
def test_page_says_which_thing_is_wrong_and_keeps_all_but_the_pin(
    ada: Client, kortrijk: Library, system: AnsweringSystem, outcome: Outcome, field: str, said: str
) -> None:
    system.otherwise = Answer(outcome)
    page = apply(ada, kortrijk, pin=PIN)
    assert (page.status_code, errors_of(page)) == (200, {field: [said]})
    text = page.content.decode()
    assert ('value="2100 0001"' in text, 'value="Peeters"' in text, f'value="{PIN}"' in text) == (True, True, False)


def test_number_of_no_card_there_is_told_before_anybody_is_asked(
    ada: Client, kortrijk: Library, system: AnsweringSystem
) -> None:
    Institution.objects.filter(pk=kortrijk.institution_id).update(number_patterns="285#####")
    words = "This is not the number of a card of Kortrijk. Check it, or choose another library."
    assert errors_of(apply(ada, kortrijk, pin=PIN)) == {"number": [words]}
    assert system.asked == []
    assert apply(ada, kortrijk, number="28500001", pin=PIN).status_code == 302


def test_sixth_wrong_pin_is_told_to_wait(ada: Client, kortrijk: Library, system: AnsweringSystem) -> None:
    pages = [apply(ada, kortrijk, pin="0000") for _ in range(6)]
    assert [page.status_code for page in pages] == [200] * 5 + [429]
    words = "This card was tried too often. Please wait an hour, or ask at the desk of your library."
    assert errors_of(pages[-1]) == {"__all__": [words]}


def test_system_that_is_down_keeps_the_application_and_says_so(
    ada: Client, kortrijk: Library, system: AnsweringSystem
) -> None:
    system.otherwise = DOWN
    done = ada.get(apply(ada, kortrijk, pin=PIN)["Location"])
    assert heading_of(done) == "A place is held for you"
    assert "The system of your library does not answer now. Nothing is lost: we hold your place until" in words_of(done)
    assert "Then you give your PIN once more" in words_of(done)
    mine = Enrollment.objects.get()
    assert f'href="/en/my/{mine.pk}/card/proof/"' in ada.get("/en/my/").content.decode()


def test_where_a_librarian_looks_the_page_says_that(ada: Client, kortrijk: Library, system: AnsweringSystem) -> None:
    LibrarySystem.objects.update(when_down=LibrarySystem.WhenDown.LIBRARIAN)
    system.otherwise = DOWN
    done = words_of(ada.get(apply(ada, kortrijk, pin=PIN)["Location"]))
    assert "Kortrijk looks at your card. You do not have to do anything" in done


def test_coming_back_with_the_pin_gives_the_seat(ada: Client, kortrijk: Library, system: AnsweringSystem) -> None:
    system.otherwise = DOWN
    apply(ada, kortrijk, pin=PIN)
    address = f"/en/my/{Enrollment.objects.get().pk}/card/proof/"
    assert "We ask your library about card 21000001." in words_of(ada.get(address))
    again = ada.post(address, {"pin": PIN}, follow=True)
    assert "The system of your library does not answer now. Everything stays as it is" in words_of(again)
    system.otherwise = Answer(Outcome.CONFIRMED)
    wrong = "Your library does not find this card with this PIN. Check your PIN and type it again."
    assert errors_of(ada.post(address, {"pin": "0000"})) == {"pin": [wrong]}
    assert errors_of(ada.post(address, {"pin": ""})) == {"pin": ["Fill in the PIN of your library card."]}
    done = ada.post(address, {"pin": PIN}, follow=True)
    assert "Your card is checked. You have a place." in words_of(done)
    assert Enrollment.objects.get().state == Enrollment.State.SEATED
    assert ada.get(address)["Location"] == "/en/my/"


def test_after_the_silence_my_place_says_what_can_be_done(
    ada: Client, kortrijk: Library, system: AnsweringSystem
) -> None:
    system.otherwise = DOWN
    apply(ada, kortrijk, pin=PIN)
    Card.objects.update(unanswered_since=None)
    words = "Give the PIN of your card, and it is checked at once. Otherwise your library looks at it by hand."
    for address in ("/en/my/", "/en/join/done/"):
        page = ada.get(address)
        assert (words in words_of(page), "You do not have to do anything" in words_of(page)) == (True, False)
        assert "/card/proof/" in page.content.decode()


def test_page_to_come_back_is_nobody_elses(
    ada: Client, kortrijk: Library, system: AnsweringSystem, programme: Programme
) -> None:
    system.otherwise = DOWN
    cy = make_member("cy@example.test", programme=programme, library=kortrijk, pin=PIN)
    address = f"/en/my/{cy.pk}/card/proof/"
    assert [ada.get(address).status_code, ada.post(address, {"pin": PIN}).status_code] == [404, 404]
    assert Client().get(address).status_code == 302


def test_another_card_is_proved_with_its_pin(
    ada: Client, kortrijk: Library, permeke: Library, system: AnsweringSystem
) -> None:
    apply(ada, permeke)
    mine = Enrollment.objects.get()
    address = f"/en/my/{mine.pk}/card/?library={kortrijk.pk}"
    assert 'name="pin"' in ada.get(address).content.decode()
    done = ada.post(address, {"number": "21000009", "pin": PIN}, follow=True)
    assert "Your card is checked" in words_of(done)


def test_without_room_the_page_says_when_to_try_again_and_nothing_is_lost(
    ada: Client, kortrijk: Library, system: AnsweringSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = threading.BoundedSemaphore(1)
    room.acquire()
    monkeypatch.setattr(asking, "_room", room)
    page = apply(ada, kortrijk, pin=PIN)
    assert (page.status_code, page["Retry-After"], system.asked) == (503, "5", [])
    assert "Very many people apply at this moment." in words_of(page)
    assert 'value="Peeters"' in page.content.decode()
    assert (Card.objects.count(), Letter.objects.count(), User.objects.count()) == (0, 0, 1)
    room.release()
    assert apply(ada, kortrijk, pin=PIN).status_code == 302
