"""The pages of the desk: who may use them, what they say is missing, and what the person takes home."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Programme
from enrollment import at_the_desk
from enrollment.models import Enrollment, Letter
from libraries import people
from libraries.models import Card, Institution, Library, User
from tests.enrollment.views.visiting import words_of
from tests.factories import (
    make_application,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_programme,
    make_staff,
    make_user,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

DESK = "/en/admin/enrollment/enrollment/desk/"
PERSON = {
    "first_name": "Ada",
    "last_name": "Peeters",
    "email": "ada@example.test",
    "language": "nl",
    "told": "on",
    "proof": "now",
}


@pytest.fixture
def halle() -> Library:
    return make_library("Bib Halle", make_institution("halle"))


@pytest.fixture
def programme(halle: Library) -> Programme:
    make_library()
    return make_programme(cap=1, unused_days=30)


@pytest.fixture
def lin(programme: Programme) -> Client:
    return sign_in(make_librarian())


def scan(client: Client, programme: Programme, number: str = "2100 0001", library: Library | None = None) -> Any:
    told = {"pool": programme.pool.pk, "library": (library or make_library()).pk, "number": number}
    return client.post(DESK, told)


def sign_up(client: Client, programme: Programme, *, number: str = "21000001", **told: str) -> Any:
    address = scan(client, programme, number).url
    return client.post(address, {**PERSON, **told})


def test_barcode_of_a_book_is_seen_at_once(lin: Client, programme: Programme) -> None:
    Institution.objects.update(number_patterns="21######")
    page = scan(lin, programme, "9789022332276")
    words = "No card of this institution has such a number. Was something else scanned, or is it another library?"
    assert page.context["form"].errors == {"number": [words]}
    assert scan(lin, programme).status_code == 302


def code_in_mail() -> str:
    found = re.search(r"\d{4}-\d{4}", str(mail.outbox[-1].body))
    assert found is not None
    return found.group()


def signed_up(programme: Programme, by: str = "lin@example.test", **told: Any) -> Enrollment:
    return at_the_desk.sign_up(
        pool=programme.pool,
        application=make_application(**told),
        email="ada@example.test",
        by=User.objects.get(email=by),
        now=timezone.now(),
    )


def page(name: str, ada: Enrollment) -> str:
    return reverse(f"admin:enrollment_enrollment_{name}", args=[ada.pk])


def test_somebody_is_signed_up_in_four_steps(programme: Programme, lin: Client) -> None:
    answer = sign_up(lin, programme)
    ada = Enrollment.objects.get()
    assert (answer.status_code, answer.url, ada.state) == (
        302,
        f"/en/admin/enrollment/enrollment/{ada.pk}/address/",
        "seated",
    )
    assert "ada@example.test" in words_of(lin.get(answer.url))
    assert [message.to for message in mail.outbox] == [["ada@example.test"]]
    assert "Ada" not in str(mail.outbox[0].body)

    proved: Any = lin.post(answer.url, {"action": "prove", "code": code_in_mail()})

    assert (proved.status_code, proved.url) == (302, f"/en/admin/enrollment/enrollment/{ada.pk}/sheet/")
    ada.user.refresh_from_db()
    assert ada.user.address_proved_at is not None


def test_no_page_of_the_desk_has_the_person_in_its_address(programme: Programme, lin: Client) -> None:
    first = scan(lin, programme)
    second: Any = lin.post(first.url, PERSON)
    for address in (first.url, second.url):
        assert re.search(r"21000001|2100|ada|Ada|Peeters", address) is None


def test_number_with_a_mistake_is_told_beside_it_and_kept(programme: Programme, lin: Client) -> None:
    answer = scan(lin, programme, "2100-0001?")
    assert answer.status_code == 200
    assert answer.context["form"].errors == {"number": ["A card number has only digits and letters."]}
    assert 'value="2100-0001?"' in answer.content.decode()


def test_scanned_card_alone_makes_nothing_and_says_what_is_missing(programme: Programme, lin: Client) -> None:
    answer = lin.post(DESK, {"number": "21000001"})
    assert list(answer.context["form"].errors) == ["pool", "library"]
    assert 'value="21000001"' in answer.content.decode()


def test_nothing_typed_is_lost(programme: Programme, lin: Client) -> None:
    answer = lin.post(scan(lin, programme).url, {"first_name": "Ada", "email": "ada@", "language": "fr"})
    assert list(answer.context["form"].errors) == ["last_name", "email", "told", "proof"]
    said = answer.content.decode()
    assert [text for text in ('value="Ada"', 'value="ada@"', 'value="fr" selected') if text not in said] == []
    assert Enrollment.objects.count() == 0


def test_sending_the_form_twice_makes_one_application(programme: Programme, lin: Client) -> None:
    address = scan(lin, programme).url
    answers: list[Any] = [lin.post(address, PERSON) for _ in range(2)]
    assert answers[0].url == answers[1].url
    assert (Enrollment.objects.count(), len(mail.outbox)) == (1, 1)


def test_card_that_is_known_is_told_before_anything_is_done(programme: Programme, lin: Client) -> None:
    ada = signed_up(programme)
    said = words_of(lin.get(scan(lin, programme).url))
    assert "This card is known: Ada Peeters (confirmed)." in said
    refused = sign_up(lin, programme, first_name="Bo", email="bo@example.test")
    assert refused.status_code == 200
    assert list(Enrollment.objects.all()) == [ada]


def test_minimum_age_is_asked_where_the_programme_has_one(programme: Programme, lin: Client) -> None:
    programme.minimum_age = 16
    programme.save()
    assert list(sign_up(lin, programme).context["form"].errors) == ["age_confirmed"]
    sign_up(lin, programme, age_confirmed="on")
    assert Enrollment.objects.get().age_confirmed == 16


def test_later_from_home_leads_to_the_sheet_and_sends_no_code(programme: Programme, lin: Client) -> None:
    answer = sign_up(lin, programme, proof="later")
    ada = Enrollment.objects.get()
    assert (answer.url, mail.outbox) == (page("sheet", ada), [])
    assert Letter.objects.due(timezone.now()).get().kind == "address_to_prove"


def test_account_that_is_proved_needs_no_code(programme: Programme, lin: Client) -> None:
    make_user("ada@example.test", first_name="Ada", last_name="Peeters")
    answer: Any = lin.get(sign_up(lin, programme).url)
    assert (answer.url, mail.outbox) == (page("sheet", Enrollment.objects.get()), [])


def test_address_of_somebody_else_is_told_beside_it(programme: Programme, lin: Client) -> None:
    make_user("ada@example.test", first_name="Cy", last_name="Claes")
    answer = sign_up(lin, programme)
    assert list(answer.context["form"].errors) == ["email"]
    assert [name for name in ("Cy", "Claes") if name in words_of(answer)] == []


# --- The address ---


def test_wrong_code_proves_nothing_and_a_sixth_is_not_looked_at(programme: Programme, lin: Client) -> None:
    address = sign_up(lin, programme).url
    right = code_in_mail()
    wrong = "00000000" if right != "0000-0000" else "11111111"
    for _ in range(5):
        errors = lin.post(address, {"action": "prove", "code": wrong}).context["form"].errors
        assert "not the right code" in errors["code"][0]
    answer = lin.post(address, {"action": "prove", "code": right})
    assert answer.context["form"].errors == {"code": ["This code is no longer valid. Send a new one."]}


def test_address_is_corrected_with_a_code_to_the_new_one(programme: Programme, lin: Client) -> None:
    address = sign_up(lin, programme, email="adda@example.test").url
    old = code_in_mail()
    answer: Any = lin.post(address, {"action": "correct", "email": "ada@example.test"})
    assert (answer.url, mail.outbox[-1].to) == (address, ["ada@example.test"])
    assert lin.post(address, {"action": "prove", "code": old}).status_code == 200
    assert lin.post(address, {"action": "prove", "code": code_in_mail()}).status_code == 302


def test_code_of_the_desk_signs_nobody_in(programme: Programme, lin: Client) -> None:
    sign_up(lin, programme)
    code, visitor = code_in_mail(), Client()
    visitor.post("/en/accounts/login/code/", {"email": "ada@example.test"})
    assert code_in_mail() != code
    visitor.post("/en/accounts/login/code/confirm/", {"code": code})
    assert "_auth_user_id" not in visitor.session


def test_signing_in_from_home_proves_the_address(programme: Programme, lin: Client) -> None:
    sign_up(lin, programme, proof="later")
    visitor = Client()
    visitor.post("/en/accounts/login/code/", {"email": "ada@example.test"})
    visitor.post("/en/accounts/login/code/confirm/", {"code": code_in_mail()})
    assert User.objects.get(email="ada@example.test").address_proved_at is not None


def test_page_of_the_application_says_that_the_address_is_not_proved(programme: Programme, lin: Client) -> None:
    ada = signed_up(programme)
    assert "not proved yet" in words_of(lin.get(page("change", ada)))
    people.note_proved(ada.user, email=ada.user.email, now=timezone.now())
    assert "not proved yet" not in words_of(lin.get(page("change", ada)))


# --- The sheet ---


def test_sheet_is_in_the_language_of_the_person(programme: Programme, lin: Client) -> None:
    ada = signed_up(programme, language="en")
    answer = lin.get(page("sheet", ada).replace("/en/", "/"))  # the librarian works in Dutch
    said = words_of(answer)
    assert '<html lang="en">' in answer.content.decode()
    assert '<nav class="controls" lang="nl"' in answer.content.decode()
    told = (
        "Welcome, Ada",
        "You have a place",
        "ada@example.test",
        "ends in 001",
        "testserver",
        "Your address is not proved",
    )
    assert [text for text in told if text not in said] == []
    assert "21000001" not in said


def test_sheet_tells_nothing_of_a_card_that_only_another_institution_sees(
    programme: Programme, lin: Client, halle: Library
) -> None:
    ada = signed_up(programme, language="en")
    Card.objects.filter(pk=ada.card_id).update(institution=halle.institution, library=halle)
    said = words_of(lin.get(page("sheet", ada)))
    assert [text in said for text in ("Welcome, Ada", "Your library card", "ends in", "001")] == [
        True,
        False,
        False,
        False,
    ]


def test_sheet_of_who_waits_tells_the_number_in_the_queue(programme: Programme, lin: Client) -> None:
    signed_up(programme)
    sign_up(lin, programme, number="21000002", first_name="Bo", email="bo@example.test")
    bo = Enrollment.objects.get(state="waiting")
    assert "Je bent nummer 1 in de wachtrij" in words_of(lin.get(page("sheet", bo)))


def test_sheet_has_the_width_of_the_paper(programme: Programme, lin: Client) -> None:
    ada = signed_up(programme)
    for width, sheet in (("", "a4"), ("?width=receipt", "receipt"), ("?width=../x", "a4")):
        assert f"css/sheet-{sheet}.css" in lin.get(page("sheet", ada) + width).content.decode()


# --- Rights ---


def test_desk_is_closed_to_who_may_not_decide(programme: Programme, lin: Client) -> None:
    ada = signed_up(programme)
    auditor = sign_in(make_staff("aud@example.test", "auditor"))
    for address in (DESK, DESK + "x/", page("address", ada), page("sheet", ada)):
        assert (auditor.get(address).status_code, auditor.post(address, PERSON).status_code) == (403, 403)
    assert sign_in(make_coordinator()).get(DESK).status_code == 200


def test_library_of_another_institution_is_not_offered_nor_taken(
    programme: Programme, lin: Client, halle: Library
) -> None:
    assert "Bib Halle" not in words_of(lin.get(DESK))
    answer = scan(lin, programme, library=halle)
    assert list(answer.context["form"].errors) == ["library"]
    assert Card.objects.count() == 0


def test_scanned_card_is_good_in_its_own_session_only(programme: Programme, lin: Client, halle: Library) -> None:
    address = scan(lin, programme).url
    hal: Any = sign_in(make_librarian(halle.institution, "hal@example.test"))
    assert (hal.post(address, PERSON).url, Enrollment.objects.count()) == (DESK, 0)


def test_sign_up_of_another_institution_is_not_there(programme: Programme, lin: Client, halle: Library) -> None:
    ada = signed_up(programme)
    hal = sign_in(make_librarian(halle.institution, "hal@example.test"))
    for name in ("address", "sheet"):
        forged = hal.post(page(name, ada), {"action": "correct", "email": "hal2@example.test"})
        assert (hal.get(page(name, ada)).status_code, forged.status_code) == (404, 404)
    ada.user.refresh_from_db()
    assert ada.user.email == "ada@example.test"


def test_first_page_leads_to_the_desk(programme: Programme, lin: Client) -> None:
    assert DESK in lin.get(reverse("admin:index")).content.decode()
    assert DESK not in sign_in(make_staff("aud@example.test", "auditor")).get(reverse("admin:index")).content.decode()
