"""Another card in the workplace: who sees it, which card is decided about, and the desk."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import Programme
from enrollment import card_checking, history, moving, seats
from enrollment.models import Enrollment, Event
from libraries.models import Card, Library, User
from tests.enrollment.views.visiting import words_of
from tests.factories import (
    ADDRESS,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

State = Enrollment.State


@pytest.fixture
def halle() -> Library:
    return make_library("Bib Halle", make_institution("halle"))


@pytest.fixture
def programme(halle: Library) -> Programme:
    make_library()
    return make_programme(cap=2)


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    """Seated on a card of Antwerp."""
    ada = make_member(programme=programme, library=make_library(), number="21000001")
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(), now=timezone.now())
    return ada


@pytest.fixture
def lin(ada: Enrollment) -> Client:
    return sign_in(User.objects.get(email="lin@example.test"))


@pytest.fixture
def hal(halle: Library) -> Client:
    return sign_in(make_librarian(halle.institution, "hal@example.test"))


def moving_to(ada: Enrollment, library: Library, number: str) -> Enrollment:
    told = moving.NewCard(library=library, number=number)
    moving.change_card(enrollment_id=ada.pk, told=told, by=ada.user, address=ADDRESS, now=timezone.now())
    ada.refresh_from_db()
    return ada


def page_of(ada: Enrollment) -> str:
    return reverse("admin:enrollment_enrollment_change", args=[ada.pk])


def desk_of(ada: Enrollment) -> str:
    return reverse("admin:enrollment_enrollment_card", args=[ada.pk])


def test_library_of_the_new_card_sees_who_wants_to_come(
    ada: Enrollment, halle: Library, lin: Client, hal: Client
) -> None:
    assert hal.get(page_of(ada)).status_code == 302
    moving_to(ada, halle, "31000001")
    assert "31000001" in words_of(hal.get(page_of(ada)))
    todo = reverse("admin:enrollment_enrollment_changelist") + "?todo=check"
    assert [len(client.get(todo).context["cl"].result_list) for client in (hal, lin)] == [1, 0]


def test_only_the_library_of_the_new_card_decides_about_it(
    ada: Enrollment, halle: Library, lin: Client, hal: Client
) -> None:
    moving_to(ada, halle, "31000001")
    act = reverse("admin:enrollment_enrollment_act", args=[ada.pk])
    lin.post(act, {"action": "confirm_cards"})
    ada.refresh_from_db()
    assert ada.next_card is not None
    hal.post(act, {"action": "confirm_cards"})
    ada = Enrollment.objects.select_related("card", "share__institution").get(pk=ada.pk)
    assert (ada.card.number, ada.share.institution, ada.next_card) == ("31000001", halle.institution, None)
    assert ada.state == State.SEATED


def test_refusing_is_about_the_new_card(ada: Enrollment, lin: Client) -> None:
    moving_to(ada, make_library(), "21000002")
    act = reverse("admin:enrollment_enrollment_act", args=[ada.pk])
    lin.post(act, {"action": "refuse_cards", "apply": "yes", "reason": "unknown", "words": ""})
    ada.refresh_from_db()
    assert (ada.state, ada.next_card) == (State.SEATED, None)
    assert Card.objects.get(number="21000002").state == Card.State.REFUSED


def test_dispute_about_a_new_card_is_settled_side_by_side(ada: Enrollment, programme: Programme, lin: Client) -> None:
    cy = make_member("cy@example.test", programme=programme, library=make_library(), number="21000009")
    ada = moving_to(ada, make_library(), "21000009")
    disputes = reverse("admin:enrollment_enrollment_disputes")
    [dispute] = lin.get(disputes).context["disputes"]
    assert [claim.applications for claim in dispute.claims] == [[cy], [ada]]
    lin.post(disputes, {"card": ada.next_card_id})
    ada, cy = (Enrollment.objects.select_related("card").get(pk=each.pk) for each in (ada, cy))
    assert (ada.card.number, ada.state, cy.state) == ("21000009", State.SEATED, State.ENDED)


def test_librarian_changes_the_card_at_the_desk(ada: Enrollment, lin: Client) -> None:
    assert desk_of(ada) in lin.get(page_of(ada)).content.decode()
    lin.post(desk_of(ada), {"library": make_library().pk, "number": "2100 0002"})
    ada = Enrollment.objects.select_related("card").get(pk=ada.pk)
    assert (ada.card.number, ada.card.state) == ("21000002", Card.State.CONFIRMED)


def test_bad_input_at_the_desk_is_told(ada: Enrollment, halle: Library, lin: Client) -> None:
    own = make_library().pk
    for told, words in (
        ({"library": own, "number": ""}, "This field is required."),
        ({"library": own, "number": "93.05.18-223.61"}, "This looks like a national register number."),
        ({"library": own, "number": "21000001"}, "This card carries the application already."),
        ({"library": halle.pk, "number": "31000001"}, "Select a valid choice."),
        ({"library": "x", "number": "31000001"}, "Select a valid choice."),
    ):
        assert words in words_of(lin.post(f"/en/admin/enrollment/enrollment/{ada.pk}/card/", told))
    ada.refresh_from_db()
    assert (ada.card.number, ada.next_card) == ("21000001", None)


def test_desk_is_closed_to_others(ada: Enrollment, hal: Client) -> None:
    assert hal.post(desk_of(ada), {"library": make_library().pk, "number": "21000002"}).status_code == 404
    ended = make_member("cy@example.test", programme=ada.pool.programme, number="21000003")
    assert hal.get(desk_of(ended)).status_code == 404


def test_coordinator_moves_somebody_to_another_institution(ada: Enrollment, halle: Library) -> None:
    mo = sign_in(make_coordinator())
    mo.post(desk_of(ada), {"library": halle.pk, "number": "31000001"})
    ada = Enrollment.objects.select_related("share__institution").get(pk=ada.pk)
    assert ada.share.institution == halle.institution


def test_library_of_the_new_card_sees_that_card_and_nothing_else(
    ada: Enrollment, halle: Library, programme: Programme, lin: Client, hal: Client
) -> None:
    lin.post(reverse("admin:enrollment_enrollment_act", args=[ada.pk]), {"action": "confirm_cards"})
    words = "Een opmerking van Antwerpen"
    history.record(Event.Kind.PRIORITY_GIVEN, now=timezone.now(), enrollment=ada, words=words)
    moving_to(ada, halle, "31000001")
    for page in (page_of(ada), reverse("admin:enrollment_enrollment_changelist")):
        text = words_of(hal.get(page))
        assert "31000001" in text
        assert "21000001" not in text
        assert words not in text
    own = words_of(lin.get(page_of(ada)))
    assert "21000001" in own
    assert words in own
    assert "31000001" not in own
    buttons = hal.get(page_of(ada)).content.decode()
    assert "confirm_cards" in buttons
    assert "end_applications" not in buttons
    assert reverse("admin:enrollment_enrollment_card", args=[ada.pk]) not in buttons


def test_new_number_is_found_and_shown_in_the_list(ada: Enrollment, lin: Client) -> None:
    moving_to(ada, make_library(), "21000002")
    applications = reverse("admin:enrollment_enrollment_changelist")
    found = lin.post(applications, {"q": "21000002"}, follow=True)
    assert [row.pk for row in found.context["cl"].result_list] == [ada.pk]
    assert "21000002" in words_of(found)
    asked = lin.post(applications, {"action": "refuse_cards", "_selected_action": [ada.pk]})
    assert "21000002" in words_of(asked)


def test_desk_tells_when_somebody_else_is_at_work(
    ada: Enrollment, lin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(**told: object) -> None:
        raise seats.ChangedMeanwhile

    monkeypatch.setattr(moving, "change_card_by_staff", busy)
    told = {"library": make_library().pk, "number": "21000002"}
    answer = lin.post(f"/en/admin/enrollment/enrollment/{ada.pk}/card/", told, follow=True)
    assert "Somebody else is at work there. Try again in a minute." in words_of(answer)
