"""Joining: from a mail address to the answer, and everything somebody may type on the way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from http.cookies import SimpleCookie
from io import BytesIO
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from catalog.models import Programme
from enrollment import applying, eligibility
from enrollment.models import Enrollment, SeatPool
from enrollment.privacy import PRIVACY_TEXT_VERSION
from libraries import rosters
from libraries.models import Card, Library, User
from tests.enrollment.views.visiting import CARD, errors_of, heading_of, sign_in, words_of
from tests.factories import make_institution, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

GOOD = {"number": "2100 0001", "first_name": "Ada", "last_name": "Peeters", "language": "nl"}
NATIONAL = "93.05.18-223.61"
BORN = "nummer;geldig_tot;geboortedatum\n"
NATIONAL_ERROR = (
    "This looks like your national register number. We may not keep that. Use the number of your library card."
)


@pytest.fixture
def permeke() -> Library:
    return make_library("Permeke", postal_code="2060")


@pytest.fixture
def programme(permeke: Library) -> Programme:
    make_library("Bibliotheek Halle", make_institution("halle", postal_code="1500"))
    return make_programme()


@pytest.fixture
def ada(client: Client, programme: Programme) -> Client:
    sign_in(client)
    return client


def card_page(library: Library, **more: str) -> str:
    query = "".join(f"&{key}={value}" for key, value in more.items())
    return f"{CARD}?library={library.pk}{query}"


def apply(client: Client, library: Library, **fields: str) -> Any:
    return client.post(card_page(library), GOOD | fields)


def fill_roster(library: Library, text: str) -> None:
    institution = library.institution
    institution.card_check = "roster"
    institution.save()
    source = BytesIO(text.encode())
    rosters.import_roster(institution=institution, source=source, by=None, now=timezone.now())


# --- The way through ---


def test_card_page_asks_who_is_not_signed_in_for_a_code(client: Client, permeke: Library, programme: Programme) -> None:
    assert client.get(CARD)["Location"] == "/en/accounts/login/code/?next=/en/join/card/"


def test_who_is_signed_in_goes_straight_to_the_card(ada: Client) -> None:
    assert ada.get("/en/join/?programme=leerkaart")["Location"] == "/en/join/card/?programme=leerkaart"


def test_application_is_answered_at_once_and_noted(ada: Client, permeke: Library) -> None:
    answer = apply(ada, permeke)
    assert answer["Location"] == "/en/join/done/?programme=leerkaart"
    assert heading_of(ada.get(answer["Location"])) == "A place is held for you"
    (enrollment,) = Enrollment.objects.all()
    assert (enrollment.state, enrollment.card.number, enrollment.card.library) == ("held", "21000001", permeke)
    assert (enrollment.privacy_version, enrollment.privacy_language) == (PRIVACY_TEXT_VERSION, "en")
    user = User.objects.get()
    assert (user.first_name, user.last_name, user.language) == ("Ada", "Peeters", "nl")


def test_result_with_a_card_on_the_list_is_a_place(ada: Client, permeke: Library) -> None:
    fill_roster(permeke, BORN + "21000001;31/12/2099;18/05/1993\n")
    answer = apply(ada, permeke, second_fact="18/05/1993")
    assert heading_of(ada.get(answer["Location"])) == "You have a place"


def test_result_in_a_full_pool_is_the_place_in_the_queue(ada: Client, permeke: Library, programme: Programme) -> None:
    SeatPool.objects.update(cap=1)
    make_member("cy@example.test", programme=programme, library=permeke)
    make_member("bo@example.test", programme=programme, library=permeke)
    answer = apply(ada, permeke)
    assert heading_of(ada.get(answer["Location"])) == "You are number 2 in the queue"


def test_result_of_a_disputed_card_tells_nothing_of_the_other(
    ada: Client, permeke: Library, programme: Programme
) -> None:
    make_member("bo@example.test", programme=programme, library=permeke, number="21000001")
    answer = apply(ada, permeke)
    page = ada.get(answer["Location"])
    assert heading_of(page) == "We have your application"
    assert "Antwerpen checks your card first." in words_of(page)
    for word in ("disput", "other application", "another", "somebody"):
        assert word not in words_of(page).lower()
    assert list(Enrollment.objects.order_by("pk").values_list("state", "passed_over")) == [
        ("held", False),
        ("waiting", True),
    ]


def test_done_without_an_application_leads_to_my_place(ada: Client) -> None:
    assert ada.get("/en/join/done/")["Location"] == "/en/my/"


# --- Which programme ---


def test_several_open_programmes_are_a_choice(ada: Client, permeke: Library) -> None:
    make_programme("tweede", name="Tweede")
    page = ada.get(CARD)
    assert heading_of(page) == "For which programme do you want a place?"
    assert apply(ada, permeke).status_code == 200
    answer = ada.post(card_page(permeke, programme="tweede"), GOOD)
    assert answer["Location"] == "/en/join/done/?programme=tweede"
    assert [each.pool.programme.slug for each in Enrollment.objects.all()] == ["tweede"]


@pytest.mark.parametrize(
    ("dates", "said"),
    [
        ({"closes_on": date(2020, 1, 1)}, "This programme is closed: you cannot apply any more."),
        ({"opens_on": date(2099, 1, 1)}, "This programme has not opened yet."),
    ],
)
def test_closed_programme_says_so(ada: Client, permeke: Library, dates: dict[str, date], said: str) -> None:
    Programme.objects.update(**dates)
    page = ada.post(card_page(permeke, programme="leerkaart"), GOOD)
    assert (page.status_code, heading_of(page)) == (200, "You cannot apply now")
    assert said in words_of(page)
    assert heading_of(ada.get(CARD)) == "You cannot apply now"
    assert Enrollment.objects.count() == 0


def test_unknown_programme_is_not_there(ada: Client) -> None:
    assert ada.get(f"{CARD}?programme=absent").status_code == 404


# --- Which library ---


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", ["Permeke", "Bibliotheek Halle"]),
        ("antwerp", ["Permeke"]),
        ("PERMEKE", ["Permeke"]),
        ("1500", ["Bibliotheek Halle"]),
        ("bib hal", ["Bibliotheek Halle"]),
        ("pèrmeké", ["Permeke"]),
    ],
)
def test_library_is_found_by_place_code_or_name(ada: Client, typed: str, found: list[str]) -> None:
    result = ada.get(CARD, {"q": typed}).context["result"]
    assert ([library.name for library in result.libraries], result.close) == (found, False)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("permekke", ["Permeke"]),
        ("2061", ["Permeke", "Bibliotheek Halle"]),
        ("9" * 80, ["Permeke", "Bibliotheek Halle"]),
        ("\u0001\u202e", []),
        ("gent <script>", []),
    ],
)
def test_what_is_not_found_brings_the_nearest(ada: Client, typed: str, found: list[str]) -> None:
    page = ada.get(CARD, {"q": typed})
    assert ([library.name for library in page.context["result"].libraries], page.context["result"].close) == (
        found,
        True,
    )
    assert b"<script>" not in page.content


@pytest.mark.parametrize("library", ["0", "999999", "-1", "x", "9" * 30, "1'; drop", "²"])
def test_unknown_library_is_asked_again(ada: Client, library: str) -> None:
    page = ada.post(f"{CARD}?library={library}", GOOD)
    assert (page.status_code, heading_of(page)) == (200, "Of which library is your card?")


def test_library_that_does_not_take_part_is_asked_again(ada: Client) -> None:
    stranger = make_library("Gent", make_institution("gent"))
    assert heading_of(apply(ada, stranger)) == "Of which library is your card?"
    assert Card.objects.count() == 0


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
        ("Ada\x07", "This name has signs that cannot be read. Type it again."),
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
    monkeypatch.setattr(applying, "ANSWERS_PER_ADDRESS", 2)
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


# --- Twice ---


def test_double_submit_is_one_application(ada: Client, permeke: Library) -> None:
    done = "/en/join/done/?programme=leerkaart"
    assert [apply(ada, permeke)["Location"] for _ in range(2)] == [done, done]
    assert (Enrollment.objects.count(), Card.objects.count(), SeatPool.objects.get().taken) == (1, 1, 1)


def test_second_tab_with_another_card_leads_to_the_first_result(ada: Client, permeke: Library) -> None:
    assert apply(ada, permeke).status_code == 302
    assert apply(ada, permeke, number="21000002")["Location"] == "/en/join/done/?programme=leerkaart"
    assert [card.number for card in Card.objects.all()] == ["21000001"]


def test_back_button_after_applying_leads_to_the_result(ada: Client, permeke: Library) -> None:
    apply(ada, permeke)
    for page in (CARD, card_page(permeke)):
        assert ada.get(page)["Location"] == "/en/join/done/?programme=leerkaart"


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_tabs_that_send_at_once_make_one_application(ada: Client, permeke: Library) -> None:
    def send(number: int) -> int:
        tab = Client()
        tab.cookies = SimpleCookie(ada.cookies)
        try:
            return int(apply(tab, permeke, number=f"2100000{number % 3}").status_code)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=8) as pool:
        statuses = set(pool.map(send, range(24)))
    assert statuses == {302}
    assert (Enrollment.objects.count(), SeatPool.objects.get().taken) == (1, 1)


# --- Cost, and what is left behind ---


def test_card_post_costs_the_same_with_a_long_queue(
    ada: Client, permeke: Library, programme: Programme, django_assert_num_queries: Any
) -> None:
    costs = []
    for number in range(2):
        visitor = Client()
        sign_in(visitor, f"{number}@example.test")
        with django_assert_num_queries(1000, exact=False) as counted:
            apply(visitor, permeke, number=f"3100000{number}")
        costs.append(len(counted))
        for each in range(8):
            make_member(
                f"{number}{each}@x.test", programme=programme, library=permeke, now=timezone.now() - timedelta(hours=1)
            )
    assert costs[0] - costs[1] in range(15)
    assert costs[0] <= 60


def test_names_and_numbers_are_in_no_address_and_no_log(
    ada: Client, permeke: Library, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        answer = apply(ada, permeke, first_name="Canaria", number="77001122")
        ada.get(answer["Location"])
    assert "Canaria" not in answer["Location"] + caplog.text
    assert "77001122" not in answer["Location"] + caplog.text
