"""The card page: everything somebody may type, and what the card check may say."""

from __future__ import annotations

import pytest
from django.test import Client

from catalog.models import Programme
from enrollment import asking, eligibility
from enrollment.models import Enrollment
from libraries.models import Card, Library, User
from tests.enrollment.views.visiting import (
    BORN,
    apply,
    card_page,
    errors_of,
    fill_roster,
    words_of,
)

pytestmark = pytest.mark.django_db

NATIONAL = "93.05.18-223.61"
NATIONAL_ERROR = (
    "This looks like your national register number. We are not allowed to keep that. "
    "Use the number of your library card."
)


# --- What is typed on the card page ---


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("", "Fill in the number of your library card."),
        ("   ", "Fill in the number of your library card."),
        (" - . ", "Fill in the number of your library card."),
        ("1" * 41, "This number is too long. A card number has at most 40 digits and letters."),
        ("1" * 20_000, "This number is too long. A card number has at most 40 digits and letters."),
        ("21000001é", "A card number has only digits and letters."),
        ("2100😀", "A card number has only digits and letters."),
        (NATIONAL, NATIONAL_ERROR),
        ("93051822361", NATIONAL_ERROR),
        ("93 05 18 223 61", NATIONAL_ERROR),
        ("９３０５１８２２３６１", NATIONAL_ERROR),
    ],
)
def test_number_that_cannot_be_one_is_explained(ada: Client, permeke: Library, number: str, error: str) -> None:
    page = apply(ada, permeke, number=number)
    assert (page.status_code, errors_of(page)) == (200, {"number": [error]})
    assert Card.objects.count() == 0


@pytest.mark.parametrize("number", ["2100.0001", " 2100-0001 ", "2100\u00a00001", "２１０００００１"])
def test_number_is_taken_however_it_is_written(ada: Client, permeke: Library, number: str) -> None:
    assert apply(ada, permeke, number=number).status_code == 302
    assert Card.objects.get().number == "21000001"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Ada   Maria ", "Ada Maria"),
        ("O’Neill-Müller", "O’Neill-Müller"),
        ("李小龍", "李小龍"),
        ("محمد", "محمد"),
        ("\u200fמשה\u200e", "משה"),
        ("नमस्ते", "नमस्ते"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("Ada 🌻", "Ada 🌻"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("Zoe\u0308", "Zoë"),
        ("A", "A"),
        ("x" * 100, "x" * 100),
        ("Ada\u202eetihW", "AdaetihW"),
        ("<b>Ada</b>", "<b>Ada</b>"),
    ],
)
def test_name_in_any_script_is_kept(ada: Client, permeke: Library, typed: str, kept: str) -> None:
    answer = apply(ada, permeke, first_name=typed, last_name=typed)
    assert answer.status_code == 302
    user = User.objects.get()
    assert (user.first_name, user.last_name) == (kept, kept)
    assert b"<b>Ada" not in ada.get("/en/my/").content


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("", "Fill in your first name."),
        (" \t\u3000\u200b ", "Fill in your first name."),
        ("x" * 101, "This name is too long. Use at most 100 characters."),
        ("x" * 1000, "This name is too long. Use at most 100 characters."),
        ("\u0958" * 60, "This name is too long. Use at most 100 characters."),
        ("Ada\x07", "This name has characters that we cannot read. Type it again."),
        (f"Ada {NATIONAL}", NATIONAL_ERROR),
    ],
)
def test_name_that_is_none_is_explained(ada: Client, permeke: Library, typed: str, error: str) -> None:
    page = apply(ada, permeke, first_name=typed)
    assert (page.status_code, errors_of(page)) == (200, {"first_name": [error]})
    assert Enrollment.objects.count() == 0


def test_nul_character_is_refused(ada: Client, permeke: Library) -> None:
    page = apply(ada, permeke, first_name="A\x00da", last_name="Pe\x00ters", number="21\x00")
    assert set(errors_of(page)) == {"first_name", "last_name", "number"}


def test_language_is_one_of_three(ada: Client, permeke: Library) -> None:
    assert set(errors_of(apply(ada, permeke, language="de"))) == {"language"}


def test_minimum_age_has_to_be_confirmed_and_is_noted(ada: Client, permeke: Library) -> None:
    Programme.objects.update(minimum_age=16)
    page = apply(ada, permeke)
    assert errors_of(page) == {"age_confirmed": ["Tick that you are 16 or older. Otherwise you cannot take part."]}
    assert apply(ada, permeke, age_confirmed="on").status_code == 302
    assert Enrollment.objects.get().age_confirmed == 16


def test_errors_stand_in_a_summary_that_takes_the_focus(ada: Client, permeke: Library) -> None:
    source = apply(ada, permeke, number="").content.decode()
    assert 'role="alert" tabindex="-1" autofocus' in source
    assert 'aria-invalid="true" aria-describedby="id_number_helptext id_number_error"' in source


def test_known_names_are_filled_in(ada: Client, permeke: Library) -> None:
    User.objects.update(first_name="Ada", last_name="Peeters", language="fr")
    assert ada.get(card_page(permeke)).context["form"].initial == {
        "first_name": "Ada",
        "last_name": "Peeters",
        "language": "fr",
    }


# --- What the card check says ---


def test_second_fact_is_asked_only_where_it_is_needed(ada: Client, permeke: Library) -> None:
    assert "Your date of birth" not in words_of(ada.get(card_page(permeke)))
    fill_roster(permeke, BORN + "21000001;;18/05/1993\n")
    assert "Your date of birth" in words_of(ada.get(card_page(permeke)))


@pytest.mark.parametrize(
    ("typed", "error"),
    [
        ("", "Fill in your date of birth."),
        ("18/05/93", "Write your date of birth as day, month and year. For example: 18/05/1993."),
        ("31/02/1993", "Write your date of birth as day, month and year. For example: 18/05/1993."),
        ("18/05/2993", "This date is still to come. Check the year."),
        (NATIONAL, NATIONAL_ERROR),
    ],
)
def test_date_of_birth_that_is_none_is_explained(ada: Client, permeke: Library, typed: str, error: str) -> None:
    fill_roster(permeke, BORN + "21000001;;18/05/1993\n")
    assert errors_of(apply(ada, permeke, second_fact=typed)) == {"second_fact": [error]}


def test_unknown_card_and_wrong_date_read_alike(ada: Client, permeke: Library) -> None:
    fill_roster(permeke, BORN + "21000001;;18/05/1993\n")
    unknown = apply(ada, permeke, number="21009999", second_fact="18/05/1993")
    wrong = apply(ada, permeke, second_fact="19/05/1993")
    expected = {"number": ["Your library does not find this card. Check the number and what you filled in below."]}
    assert (errors_of(unknown), errors_of(wrong)) == (expected, expected)


def test_library_may_tell_the_two_apart(ada: Client, permeke: Library) -> None:
    fill_roster(permeke, BORN + "21000001;;18/05/1993\n")
    permeke.institution.tells_unknown_cards = True
    permeke.institution.save()
    unknown = apply(ada, permeke, number="21009999", second_fact="18/05/1993")
    wrong = apply(ada, permeke, second_fact="19/05/1993")
    assert errors_of(unknown) == {"number": ["Your library does not know this number. Check it against your card."]}
    assert errors_of(wrong) == {"second_fact": ["This does not match your card. Check it."]}


def test_expired_card_is_told_after_the_right_date(ada: Client, permeke: Library) -> None:
    fill_roster(permeke, BORN + "21000001;31/12/2020;18/05/1993\n")
    page = apply(ada, permeke, second_fact="18/05/1993")
    assert errors_of(page) == {"number": ["Your card is no longer valid. Ask your library to renew it."]}


def test_last_name_without_a_letter_is_explained_where_it_proves_the_card(ada: Client, permeke: Library) -> None:
    permeke.institution.second_fact = "last_name"
    fill_roster(permeke, "nummer;naam\n21000001;Peeters\n")
    page = apply(ada, permeke, last_name="!?")
    assert errors_of(page) == {"last_name": ["Write your last name as your library knows it."]}


def test_too_many_tries_are_told(ada: Client, permeke: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    fill_roster(permeke, BORN + "21000001;;18/05/1993\n")
    monkeypatch.setattr(asking, "ANSWERS_PER_ADDRESS", 2)
    answers = [apply(ada, permeke, second_fact="19/05/1993") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    said = "Too many cards were tried from here. Please wait an hour and try again."
    assert errors_of(answers[-1]) == {"__all__": [said]}


def test_library_with_too_many_cards_to_check_says_so(
    ada: Client, permeke: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eligibility, "UNPROVED_PER_INSTITUTION", 0)
    said = "This library has very many cards to check now. Please try again tomorrow."
    assert errors_of(apply(ada, permeke)) == {"__all__": [said]}
