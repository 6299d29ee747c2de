"""Staff erase a person's data on their request: shown first, with how they know, and within their institution."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from enrollment import ending, erasing, history
from enrollment.models import Enrollment, Erasure, Event, ProviderAccount
from libraries import people
from libraries.models import Card, StaffRole, User
from tests.factories import NOW, make_coordinator, make_librarian, make_library, make_member, make_programme, make_staff
from tests.workplace import Scene, make_scene, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def lin(scene: Scene) -> Client:
    return sign_in(make_librarian(scene.own))


def address(enrollment: Enrollment) -> str:
    return reverse("admin:enrollment_enrollment_erase", args=[enrollment.pk])


def post(client: Client, enrollment: Enrollment, **data: Any) -> Any:
    page = client.get(address(enrollment))
    told = {"expected": page.context["plan"].fingerprint, "reason": "asked_at_desk", **data}
    return client.post(address(enrollment), told, follow=True)


def test_page_shows_what_it_does_and_changes_nothing(lin: Client, scene: Scene) -> None:
    ProviderAccount.objects.create(user=scene.ada.user, provider=scene.programme.provider, must_be_active=True)
    page = lin.get(address(scene.ada)).content.decode()
    assert ("Ada Peeters" in page, "SkillsTown" in page, Erasure.objects.count()) == (True, True, 0)


def test_librarian_erases_with_a_reason_on_record_and_prints_the_proof(lin: Client, scene: Scene) -> None:
    page = post(lin, scene.ada)
    erasure = Erasure.objects.get(user_id=scene.ada.user_id)
    by = User.objects.get(email="lin@example.test").pk
    assert erasure.asked_by_id == by
    assert f"/erased/{erasure.code}/" in page.content.decode()
    event = Event.objects.get(kind="erasure_asked", enrollment_id=scene.ada.pk)
    assert (event.actor_id, event.reason) == (by, "asked_at_desk")
    scene.ada.refresh_from_db()
    assert (scene.ada.state, scene.ada.end_reason) == ("ended", "erased")


@pytest.mark.parametrize("reason", ["", "because", "again"])
def test_without_a_reason_nothing_is_done(reason: str, lin: Client, scene: Scene) -> None:
    assert post(lin, scene.ada, reason=reason).status_code == 200
    assert not Erasure.objects.exists()


def test_something_else_than_what_was_shown_is_shown_once_more(lin: Client, scene: Scene) -> None:
    shown = lin.get(address(scene.ada)).context["plan"].fingerprint
    ending.give_back(enrollment_id=scene.ada.pk, by=scene.ada.user, now=NOW)
    page = lin.post(address(scene.ada), {"expected": shown, "reason": "asked_at_desk"})
    assert (page.context["overtaken"], Erasure.objects.count()) == (True, 0)


@pytest.mark.parametrize("name", ["address", "sheet"])
def test_who_is_erased_has_no_business_at_the_desk_any_more(name: str, lin: Client, scene: Scene) -> None:
    """Their address counts as one that nobody has proved."""
    people.close(scene.ada.user)
    people.forget(scene.ada.user)
    there = reverse(f"admin:enrollment_enrollment_{name}", args=[scene.ada.pk])
    posts = ({"action": "correct", "email": "ada3@example.test"}, {"action": "send"}, {"action": "later"})
    answers = [lin.get(there), *(lin.post(there, told) for told in posts)]
    assert [answer.status_code for answer in answers] == [404] * 4
    assert User.objects.get(pk=scene.ada.user_id).email == f"erased-{scene.ada.user_id}@invalid"


def test_another_institutions_person_is_not_there(lin: Client, scene: Scene) -> None:
    assert lin.get(address(scene.cy)).status_code == 404
    assert lin.post(address(scene.cy), {"reason": "asked_at_desk"}).status_code == 404
    assert not Erasure.objects.exists()


def test_what_also_stands_elsewhere_is_for_a_coordinator(lin: Client, scene: Scene) -> None:
    second = make_programme("second")
    library = make_library("Elders", scene.foreign)
    make_member(scene.ada.user.email, programme=second, library=library, number="31000009", now=NOW)
    lin.get(address(scene.ada), follow=True)
    lin.post(address(scene.ada), {"reason": "asked_at_desk"})
    assert not Erasure.objects.exists()
    post(sign_in(make_coordinator()), scene.ada)
    assert Erasure.objects.get().user_id == scene.ada.user_id


@pytest.mark.parametrize("role", [StaffRole.Role.AUDITOR, StaffRole.Role.OPERATOR])
def test_who_only_looks_or_runs_the_system_may_not(role: str, scene: Scene) -> None:
    client = sign_in(make_staff("pat@example.test", role))
    assert client.get(address(scene.ada)).status_code == 403
    assert client.post(address(scene.ada), {"reason": "asked_at_desk"}).status_code == 403
    page = client.get(reverse("admin:enrollment_enrollment_change", args=[scene.ada.pk])).content.decode()
    assert address(scene.ada) not in page


def test_twice_is_once_and_the_page_offers_it_no_more(lin: Client, scene: Scene) -> None:
    post(lin, scene.ada)
    lin.post(address(scene.ada), {"reason": "asked_at_desk", "expected": "x"}, follow=True)
    assert Erasure.objects.count() == 1
    page = lin.get(reverse("admin:enrollment_enrollment_change", args=[scene.ada.pk])).content.decode()
    assert address(scene.ada) not in page


def test_page_of_who_was_erased_shows_nothing_that_stands_in_for_their_data(lin: Client, scene: Scene) -> None:
    post(lin, scene.ada)
    application = reverse("admin:enrollment_enrollment_change", args=[scene.ada.pk])
    heading = "The data were erased"
    before = lin.get(application).content.decode()
    Erasure.objects.update(erased_here_at=NOW)
    nobody = {"first_name": "", "last_name": "", "email": "erased-1@invalid", "is_active": False}
    User.objects.filter(pk=scene.ada.user_id).update(**nobody)
    Card.objects.filter(pk=scene.ada.card_id).update(number=scene.ada.card.number_after_erasing)
    after = lin.get(application).content.decode()
    assert (heading in before, heading in after) == (False, True)
    assert [word in after for word in ("erased-1@invalid", "ERASED", "not proved yet")] == [False] * 3
    assert "erased-1@invalid" not in lin.get(reverse("admin:enrollment_enrollment_changelist")).content.decode()


def erased(row: Enrollment) -> None:
    nobody = {"first_name": "", "last_name": "", "email": f"erased-{row.user_id}@invalid", "is_active": False}
    User.objects.filter(pk=row.user_id).update(**nobody)
    Card.objects.filter(pk=row.card_id).update(number=row.card.number_after_erasing)


def looked_for(client: Client, words: str, address: str = "/en/admin/enrollment/enrollment/") -> list[int]:
    page = client.post(address, {"look_for": words}, follow=True)
    return [row.pk for row in page.context["cl"].result_list]


def test_list_and_bulk_pages_say_in_a_word_that_the_number_is_erased(lin: Client, scene: Scene) -> None:
    erased(scene.ada)
    changelist = "{}/admin/enrollment/enrollment/"
    for language, word in (("/en", "erased"), ("", "gewist"), ("/fr", "effacé")):
        html = lin.get(changelist.format(language)).content.decode()
        assert ("ERASED" in html, f'<td class="field-number">{word}</td>' in html) == (False, True)
    chosen = {"action": "end_applications", "_selected_action": [scene.ada.pk], "index": "0"}
    html = lin.post(changelist.format("/en"), chosen).content.decode()
    assert ("ERASED" in html, "@invalid" in html) == (False, False)


@pytest.mark.parametrize("words", ["ERASE", "erased-", "invalid", "ERASED{card}", "{card}"])
def test_what_stands_in_for_erased_data_is_not_found(lin: Client, scene: Scene, words: str) -> None:
    erased(scene.ada)
    assert scene.ada.pk not in looked_for(lin, words.format(card=scene.ada.card_id))


def test_word_that_is_shown_for_erased_data_finds_them(lin: Client, scene: Scene) -> None:
    assert looked_for(lin, "erased") == []
    erased(scene.ada)
    assert [looked_for(lin, " Erased "), looked_for(lin, "gewist", "/admin/enrollment/enrollment/")] == [
        [scene.ada.pk]
    ] * 2


def test_events_tell_what_was_erased_here_from_what_was_erased_everywhere(lin: Client, scene: Scene) -> None:
    for number, where in enumerate((erasing.HERE, erasing.EVERYWHERE)):
        history.record(Event.Kind.ERASED, now=NOW + timedelta(days=number), enrollment=scene.ada, reason=where)
    for page in ("enrollment_event_changelist", "enrollment_enrollment_change"):
        address = reverse(f"admin:{page}", args=[scene.ada.pk] if page.endswith("change") else [])
        html = lin.get(address).content.decode()
        assert [word in html for word in ("erased here", "Old value")] == [False, False]
        assert html.index("A person&#x27;s data erased") > 0
        assert ("at Leerkaart" in html, "everywhere, also at the provider" in html) == (True, True)
