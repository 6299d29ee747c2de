from __future__ import annotations

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from enrollment import ending
from enrollment.models import Enrollment, Event, EventNote, Letter, SeatPool
from libraries.models import Card, Library
from tests.factories import (
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)
from tests.workplace import Scene, make_scene, sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/enrollment/enrollment/"


@pytest.fixture
def permeke() -> Library:
    return make_library("Permeke", make_institution())


@pytest.fixture
def ada(permeke: Library) -> Enrollment:
    return make_member(programme=make_programme(cap=10), library=permeke, number="21000001")


@pytest.fixture
def bo(ada: Enrollment, permeke: Library) -> Enrollment:
    return make_member(
        "bo@example.test",
        programme=ada.pool.programme,
        library=permeke,
        number="21000002",
        first_name="Bo",
        last_name="Wachter",
    )


@pytest.fixture
def lin(permeke: Library) -> Client:
    return sign_in(make_librarian(permeke.institution))


def act(client: Client, action: str, *rows: Enrollment, **data: Any) -> Any:
    post = {"action": action, "_selected_action": [row.pk for row in rows], "index": "0", **data}
    return client.post(LIST, post, follow=True)


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)] or [
        str(message) for message in response.context["messages"]
    ]


def card_states(*rows: Enrollment) -> list[str]:
    return [Card.objects.get(pk=row.card_id).state for row in rows]


def test_list_shows_who_applied_and_how_it_stands(ada: Enrollment, bo: Enrollment, lin: Client) -> None:
    html = lin.get(LIST).content.decode()
    for text in ("Ada Peeters", "Bo Wachter", "21000001", "21000002", "Permeke"):
        assert text in html


def test_page_shows_what_the_member_reads_about_the_queue(ada: Enrollment, bo: Enrollment, lin: Client) -> None:
    SeatPool.objects.update(cap=2)
    people = [make_member(f"m{number}@example.test", programme=ada.pool.programme) for number in range(6)]
    for each in [ada, bo, *people[:3]]:
        ending.give_back(enrollment_id=each.pk, by=each.user, now=timezone.now())
    html = " ".join(lin.get(f"{LIST}{people[5].pk}/change/").content.decode().split())
    assert "Number 1 in the queue" in html
    assert "What the member reads about the queue" in html
    assert "You can expect a place between" in html
    assert "5 people before you got a place<br><small>After that you were number 1.</small>" in html
    assert "What the member reads about the queue" not in lin.get(f"{LIST}{people[4].pk}/change/").content.decode()


def test_list_asks_the_same_for_few_and_for_many(
    ada: Enrollment, permeke: Library, lin: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(40):
        make_member(f"more{number}@example.test", programme=ada.pool.programme, library=permeke)
    with django_assert_max_num_queries(12):
        lin.get(LIST)


def test_list_tells_the_place_in_line(permeke: Library, lin: Client) -> None:
    programme = make_programme(cap=0)
    rows = [make_member(f"m{n}@example.test", programme=programme, library=permeke) for n in range(3)]
    expected = [(row.pk, place) for place, row in enumerate(rows, start=1)]
    todo = lin.get(f"{LIST}?todo=check").context["cl"].result_list
    assert [(row.pk, row.place) for row in todo] == expected
    newest_first = lin.get(LIST).context["cl"].result_list
    assert [(row.pk, row.place) for row in newest_first] == expected[::-1]


def test_confirming_gives_the_held_places(ada: Enrollment, bo: Enrollment, lin: Client) -> None:
    response = act(lin, "confirm_cards", ada, bo)
    assert said(response) == ["2 cards are confirmed."]
    assert list(Enrollment.objects.values_list("state", flat=True)) == [Enrollment.State.SEATED] * 2


def test_second_librarian_reads_that_it_has_been_decided(ada: Enrollment, permeke: Library, lin: Client) -> None:
    other = sign_in(make_librarian(permeke.institution, "lou@example.test"))
    act(lin, "confirm_cards", ada)
    response = act(other, "refuse_cards", ada, apply="yes", reason="expired")
    assert said(response) == ["1 was left as it was. This card has already been decided about."]
    assert card_states(ada) == [Card.State.CONFIRMED]


def test_refusing_asks_for_the_reason_first(ada: Enrollment, lin: Client) -> None:
    page = act(lin, "refuse_cards", ada)
    assert page.templates[0].name == "admin/ask.html"
    assert "The card is no longer valid." in page.content.decode()
    assert card_states(ada) == [Card.State.CLAIMED]


def test_refusing_without_a_reason_changes_nothing(ada: Enrollment, lin: Client) -> None:
    page = act(lin, "refuse_cards", ada, apply="yes")
    assert page.context["form"].errors.keys() == {"reason"}
    assert card_states(ada) == [Card.State.CLAIMED]


def test_refusing_many_ends_them_with_the_reason(ada: Enrollment, bo: Enrollment, lin: Client) -> None:
    response = act(lin, "refuse_cards", ada, bo, apply="yes", reason="expired", words="Asked at the desk.")
    assert said(response) == ["2 cards are refused."]
    assert list(Card.objects.values_list("refusal", flat=True)) == [Card.Refusal.EXPIRED] * 2
    letters = Letter.objects.filter(kind=Letter.Kind.CARD_REFUSED)
    assert list(letters.values_list("reason", flat=True)) == [Card.Refusal.EXPIRED] * 2
    assert list(EventNote.objects.values_list("words", flat=True)) == ["Asked at the desk."] * 2


def test_national_number_in_a_note_is_refused(ada: Enrollment, lin: Client) -> None:
    page = act(lin, "refuse_cards", ada, apply="yes", reason="other", words="Says 85.07.30-033.28")
    assert page.context["form"].errors.keys() == {"words"}
    assert card_states(ada) == [Card.State.CLAIMED]


def test_ending_needs_words_and_is_told_once(ada: Enrollment, lin: Client) -> None:
    assert act(lin, "end_applications", ada, apply="yes", words=" ").context["form"].errors.keys() == {"words"}
    assert said(act(lin, "end_applications", ada, apply="yes", words="Moved away.")) == ["1 has ended."]
    again = act(lin, "end_applications", ada, apply="yes", words="Moved away.")
    assert said(again) == ["1 was left as it was. It had ended already."]
    ada.refresh_from_db()
    assert (ada.state, ada.end_reason) == (Enrollment.State.ENDED, Enrollment.EndReason.BY_STAFF)


def test_too_many_at_once_are_not_begun(permeke: Library, lin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("enrollment.admin.base.MOST_AT_ONCE", 1)
    programme = make_programme()
    rows = [make_member(f"m{n}@example.test", programme=programme, library=permeke) for n in range(2)]
    assert said(act(lin, "confirm_cards", *rows)) == ["Choose at most 1 row at a time."]
    assert card_states(*rows) == [Card.State.CLAIMED] * 2


def test_librarian_does_not_decide_about_their_own_card(permeke: Library) -> None:
    lin = make_librarian(permeke.institution)
    own = make_member(lin.email, programme=make_programme(), library=permeke)
    response = act(sign_in(lin), "confirm_cards", own)
    assert said(response) == ["1 was left as it was. You cannot decide about your own card."]


def test_page_of_one_application_tells_its_path(ada: Enrollment, lin: Client) -> None:
    act(lin, "refuse_cards", ada, apply="yes", reason="not_yours", words="Other name on the card.")
    page = lin.get(reverse("admin:enrollment_enrollment_change", args=[ada.pk]))
    lines = [(line.what, line.who, line.why, line.words) for line in page.context["timeline"]]
    refused = ("Card refused", "lin@example.test", "The name does not match the card.", "Other name on the card.")
    assert lines[0] == ("Applied", "the member", "", "")
    assert refused in lines
    assert not page.context["may_decide"]
    assert not page.context["may_end"]


def test_buttons_of_one_application_do_the_same(ada: Enrollment, lin: Client) -> None:
    address = reverse("admin:enrollment_enrollment_act", args=[ada.pk])
    page = lin.post(address, {"action": "refuse_cards"})
    assert page.templates[0].name == "admin/ask.html"
    response = lin.post(address, {"action": "confirm_cards"}, follow=True)
    assert response.redirect_chain == [(reverse("admin:enrollment_enrollment_change", args=[ada.pk]), 302)]
    assert said(response) == ["1 card is confirmed."]
    assert lin.post(address, {"action": "delete_selected"}).status_code == 302
    assert Enrollment.objects.count() == 1


def test_search_keeps_the_words_out_of_the_address(ada: Enrollment, bo: Enrollment, lin: Client) -> None:
    response = lin.post(f"{LIST}?state__exact=held", {"look_for": "wachter"}, follow=True)
    assert response.redirect_chain == [(f"{LIST}?state__exact=held", 302)]
    assert [row.pk for row in response.context["cl"].result_list] == [bo.pk]
    assert [row.pk for row in lin.get(f"{LIST}?q=peeters").context["cl"].result_list] == [bo.pk]
    lin.post(LIST, {"look_for": ""})
    assert lin.get(LIST).context["cl"].result_count == 2


@pytest.mark.parametrize("words", ["2100 0002", "bo@example.test", "Bo Wachter", "21000002"])
def test_search_finds_by_name_mail_and_number(ada: Enrollment, bo: Enrollment, lin: Client, words: str) -> None:
    response = lin.post(LIST, {"look_for": words}, follow=True)
    assert [row.pk for row in response.context["cl"].result_list] == [bo.pk]


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def test_disputed_claims_stand_side_by_side(scene: Scene) -> None:
    page = sign_in(make_librarian(scene.own)).get(reverse("admin:enrollment_enrollment_disputes"))
    claims = [[claim.card.state for claim in dispute.claims] for dispute in page.context["disputes"]]
    assert claims == [[Card.State.CLAIMED, Card.State.DISPUTED]]


def test_confirming_one_claim_refuses_the_other(scene: Scene) -> None:
    first, second = Card.objects.filter(number="21000001").order_by("pk")
    lin = sign_in(make_librarian(scene.own))
    response = lin.post(reverse("admin:enrollment_enrollment_disputes"), {"card": second.pk}, follow=True)
    assert said(response) == ["1 card is confirmed."]
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.refusal, second.state) == (Card.State.REFUSED, Card.Refusal.TAKEN, Card.State.CONFIRMED)
    scene.ada.refresh_from_db()
    assert scene.ada.state == Enrollment.State.ENDED
    assert second.enrollments.get().state == Enrollment.State.SEATED
    assert response.context["disputes"] == []


def test_confirming_from_the_list_takes_no_card_that_is_confirmed(
    ada: Enrollment, permeke: Library, lin: Client
) -> None:
    act(lin, "confirm_cards", ada)
    cy = make_member("cy@example.test", programme=ada.pool.programme, library=permeke, number="21000001")
    assert said(act(lin, "confirm_cards", cy)) == [
        "1 was left as it was. Somebody else's card with this number is confirmed: settle the dispute."
    ]
    assert card_states(ada, cy) == [Card.State.CONFIRMED, Card.State.DISPUTED]
    lin.post(reverse("admin:enrollment_enrollment_disputes"), {"card": cy.card_id})
    assert card_states(ada, cy) == [Card.State.REFUSED, Card.State.CONFIRMED]


def test_coordinator_settles_for_every_institution(scene: Scene) -> None:
    mo = sign_in(make_coordinator())
    mo.post(reverse("admin:enrollment_enrollment_disputes"), {"card": scene.cy.card_id})
    assert card_states(scene.cy) == [Card.State.CONFIRMED]
    actor = Event.objects.filter(kind=Event.Kind.CARD_CONFIRMED).get().actor_id
    assert actor == int(mo.session["_auth_user_id"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("todo=check", [Card.State.CLAIMED] * 2),
        ("todo=dispute", [Card.State.DISPUTED] * 2),
        ("todo=lapsing", []),
        ("state__exact=held", [Card.State.CLAIMED]),
        ("card__state__exact=disputed", [Card.State.DISPUTED] * 2),
        ("user__email__startswith=a", None),
        ("card__number__startswith=2", None),
    ],
)
def test_list_answers_its_own_filters_only(scene: Scene, query: str, expected: list[str] | None) -> None:
    page = sign_in(make_coordinator()).get(f"{LIST}?{query}")
    assert page.status_code == (400 if expected is None else 200)
    if expected is not None:
        assert [row.card.state for row in page.context["cl"].result_list] == expected
