"""Erase my data: shown, then done, only by whoever came in just now; and the certificate, by its code alone."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Programme
from enrollment import ending, erasing
from enrollment.models import Enrollment, Erasure, ProviderAccount
from enrollment.views import erasing as views
from libraries.models import User
from tests.enrollment.views.visiting import CONFIRM, heading_of, newest_code, sign_in, words_of
from tests.erasures import erase_here, erasures, providers_obey
from tests.factories import (
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_provider,
    make_user,
)

__all__ = ["erasures"]
pytestmark = pytest.mark.django_db

ERASE = "/en/my/erase/"
ADA = "ada@example.test"


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme(cap=1, name="Leren")


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    ada = make_member(programme=programme, number="21000001", now=timezone.now() - timedelta(days=2))
    ProviderAccount.objects.create(user=ada.user, provider=programme.provider, must_be_active=False)
    return ada


@pytest.fixture
def visit(ada: Enrollment) -> Client:
    client = Client()
    sign_in(client, ADA, then="/en/my/")
    return client


def post(client: Client, **data: str) -> object:
    expected = client.get(ERASE).context["plan"].fingerprint
    return client.post(ERASE, {"expected": expected, **data})


def test_my_place_leads_to_it_and_it_says_what_happens(visit: Client) -> None:
    assert f'href="{ERASE}"' in visit.get("/en/my/").content.decode()
    said = words_of(visit.get(ERASE))
    assert "Your place in “Leren” ends" in said
    assert "at SkillsTown: your account" in said
    assert "The list of valid cards" in said
    assert not Erasure.objects.exists()


def test_who_came_in_just_now_is_erased_signed_out_and_has_the_proof(visit: Client, ada: Enrollment) -> None:
    answer = post(visit)
    erasure = Erasure.objects.get(user_id=ada.user_id)
    assert (answer.status_code, answer["Location"]) == (302, f"/en/erased/{erasure.code}/")  # type: ignore[attr-defined,index]
    page = visit.get(f"/en/erased/{erasure.code}/")
    assert heading_of(page) == "The data are being erased"
    assert "_auth_user_id" not in visit.session
    assert visit.get("/en/my/").status_code == 302
    ada.refresh_from_db()
    assert ada.end_reason == "erased"


def test_who_came_in_long_ago_proves_it_by_a_code_first(
    visit: Client, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "FRESH_FOR", timedelta(0))
    assert "Send me a code" in words_of(visit.get(ERASE))
    answer = post(visit)
    assert not Erasure.objects.exists()
    assert answer["Location"] == f"{CONFIRM}?next=%2Fen%2Fmy%2Ferase%2F"  # type: ignore[index]
    assert visit.get("/en/my/").status_code == 302
    assert mail.outbox[-1].to == [ADA]
    monkeypatch.undo()
    assert visit.post(CONFIRM, {"code": newest_code(), "next": ERASE})["Location"] == ERASE
    post(visit)
    assert Erasure.objects.get().user_id == ada.user_id


def test_session_that_only_lasted_is_not_fresh(ada: Enrollment) -> None:
    """Without a record of how and when somebody came in."""
    client = Client()
    client.force_login(ada.user)
    post(client)
    assert not Erasure.objects.exists()


def test_form_forged_for_another_person_erases_only_who_sends_it(visit: Client, ada: Enrollment) -> None:
    bo = make_user("bo@example.test")
    post(visit, user=str(bo.pk), user_id=str(bo.pk), pk=str(bo.pk))
    assert list(Erasure.objects.values_list("user_id", flat=True)) == [ada.user_id]


def test_form_without_what_was_shown_or_of_before_does_nothing(visit: Client, ada: Enrollment) -> None:
    shown = visit.get(ERASE).context["plan"].fingerprint
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=timezone.now())
    for data in ({}, {"expected": shown}):
        page = visit.post(ERASE, data)
        assert "nothing was done" in words_of(page)
    assert not Erasure.objects.exists()


def test_form_needs_its_token_and_somebody_signed_in(ada: Enrollment) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada.user)
    assert strict.post(ERASE).status_code == 403
    assert Client().post(ERASE)["Location"].startswith("/en/accounts/login/code/")
    assert not Erasure.objects.exists()


def test_staff_read_why_not(programme: Programme) -> None:
    client = Client()
    client.force_login(make_librarian())
    assert heading_of(client.get(ERASE)) == "This cannot be done here"
    assert heading_of(client.post(ERASE)) == "This cannot be done here"
    assert not Erasure.objects.exists()


# --- The certificate ---


def test_certificate_tells_what_was_erased_where_and_when(visit: Client, ada: Enrollment, erasures: Path) -> None:
    post(visit)
    address = f"/en/erased/{Erasure.objects.get().code}/"
    said = words_of(Client().get(address))
    assert "At Leerkaart within a day of asking" in said
    assert "SkillsTown asked on" in said
    now = timezone.now()
    erase_here(now)
    assert "At Leerkaart erased on" in words_of(Client().get(address))
    providers_obey(now)
    erasing.erase_due(now=now)
    page = Client().get(address)
    assert heading_of(page) == "Everything is erased"
    assert "SkillsTown erased on" in words_of(page)
    assert (page["X-Robots-Tag"], "no-store" in page["Cache-Control"]) == ("noindex", True)
    for canary in (ADA, "Peeters", "21000001", "Permeke"):
        assert canary not in page.content.decode()


def test_pages_take_as_many_statements_however_much_there_is(visit: Client, ada: Enrollment) -> None:
    bo = make_user("bo@example.test")
    code = erasing.ask(user_id=bo.pk, by=bo, now=timezone.now()).code
    counts = []
    for number in range(2):
        ProviderAccount.objects.create(
            user=ada.user, provider=make_provider(f"p{number}", name=f"P{number}"), must_be_active=False
        )
        with CaptureQueriesContext(connection) as captured:
            visit.get(ERASE)
            Client().get(f"/en/erased/{code}/")
        counts.append(len(captured))
    assert counts[0] == counts[1]


@pytest.mark.parametrize(("prefix", "heading"), [("", 'lang="nl"'), ("/fr", 'lang="fr"'), ("/en", 'lang="en"')])
def test_certificate_is_there_in_three_languages(prefix: str, heading: str, ada: Enrollment) -> None:
    code = erasing.ask(user_id=ada.user_id, by=ada.user, now=timezone.now()).code
    page = Client().get(f"{prefix}/erased/{code}/")
    assert (page.status_code, heading in page.content.decode()) == (200, True)


def test_codes_cannot_be_guessed_for_ever_and_the_right_one_is_not_counted(
    ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "WRONG_PER_NETWORK", 3)
    code = erasing.ask(user_id=ada.user_id, by=ada.user, now=timezone.now()).code
    asked = [code] * 5 + ["wrong"] * 4 + [code]
    assert [Client().get(f"/en/erased/{each}/").status_code for each in asked] == [200] * 5 + [404] * 3 + [429] * 2


def test_letter_leads_to_it(ada: Enrollment, erasures: Path) -> None:
    User.objects.filter(pk=ada.user_id).update(language="en")
    code = erasing.ask(user_id=ada.user_id, by=ada.user, now=timezone.now()).code
    erase_here(timezone.now())
    letter = mail.outbox[-1]
    assert (letter.to, letter.subject) == ([ADA], "Your data are erased")
    assert f"http://testserver/en/erased/{code}/" in letter.body


# --- In the workplace: tests/enrollment/admin/test_erasing.py ---


def test_stranger_of_another_institution_is_no_way_round(ada: Enrollment) -> None:
    """A librarian's own page erases nobody else either."""
    client = Client()
    client.force_login(make_librarian(make_institution("halle"), "hal@example.test"))
    client.post(ERASE, {"user": ada.user_id})
    assert not Erasure.objects.exists()
