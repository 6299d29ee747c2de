"""Joining: from an email address to the answer, once however often it is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from http.cookies import SimpleCookie
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from django.utils import timezone

from catalog.models import Programme
from enrollment.models import Enrollment, SeatPool
from enrollment.privacy import PRIVACY_TEXT_VERSION
from libraries.models import Card, Library, User
from tests.enrollment.views.visiting import (
    BORN,
    CARD,
    GOOD,
    apply,
    card_page,
    fill_roster,
    heading_of,
    sign_in,
    words_of,
)
from tests.factories import make_institution, make_library, make_member, make_programme

pytestmark = pytest.mark.django_db

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
    assert (page.status_code, heading_of(page)) == (200, "Which library is your card from?")


def test_library_that_does_not_take_part_is_asked_again(ada: Client) -> None:
    stranger = make_library("Gent", make_institution("gent"))
    assert heading_of(apply(ada, stranger)) == "Which library is your card from?"
    assert Card.objects.count() == 0


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
