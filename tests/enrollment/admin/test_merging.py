from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from catalog.models import Programme
from enrollment import card_checking, ending
from enrollment.merge_plan import Obstacle
from enrollment.models import Enrollment, EventNote, SeatPool
from libraries.models import Library, StaffRole, User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_staff,
    make_user,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
ADA, BO = "ada@example.test", "bo@example.test"


@pytest.fixture
def permeke() -> Library:
    return make_library("Permeke", make_institution())


@pytest.fixture
def programme(permeke: Library) -> Programme:
    return make_programme(cap=0)


@pytest.fixture
def ada(programme: Programme) -> Enrollment:
    return make_member(ADA, programme=programme, number="21000001", now=NOW + timedelta(minutes=1))


@pytest.fixture
def bo(programme: Programme) -> Enrollment:
    """Applied before Ada, whose second address it is."""
    return make_member(BO, programme=programme, number="21000002", now=NOW, first_name="Adje", last_name="Peeters")


@pytest.fixture
def mo(permeke: Library) -> Client:
    return sign_in(make_coordinator())


def address(enrollment: Enrollment) -> str:
    return reverse("admin:enrollment_enrollment_merge", args=[enrollment.pk])


def find(client: Client, enrollment: Enrollment, other: str) -> Any:
    return client.post(address(enrollment), {"apply": "yes", "other": other})


def merge(client: Client, page: Any, enrollment: Enrollment, **data: Any) -> Any:
    shown = page.context
    told = {"other_id": shown["other"].pk, "expected": shown["plan"].fingerprint, "keep": shown["plan"].keep.pk}
    return client.post(address(enrollment), {**told, "words": "Seen at the desk.", **data}, follow=True)


def said(response: Any) -> list[str]:
    return [str(message) for message in get_messages(response.wsgi_request)] or [
        str(message) for message in response.context["messages"]
    ]


def are_two() -> bool:
    return User.objects.filter(email__in=[ADA, BO], is_active=True).count() == 2


def test_coordinator_starts_from_the_page_of_an_application(ada: Enrollment, mo: Client) -> None:
    page = mo.get(reverse("admin:enrollment_enrollment_change", args=[ada.pk])).content.decode()
    assert f'href="{address(ada)}"' in page
    assert "Which other application or account is theirs?" in mo.get(address(ada)).content.decode()


@pytest.mark.parametrize("way", ["number", "#number", "address"])
def test_other_one_is_found_and_both_are_shown_side_by_side(
    way: str, ada: Enrollment, bo: Enrollment, mo: Client
) -> None:
    text = {"number": f" {bo.pk} ", "#number": f"#{bo.pk}", "address": "Bo@Example.test"}[way]
    page = find(mo, ada, text)
    html = page.content.decode()
    for words in (ADA, BO, "Ada Peeters", "Adje Peeters", "21000001", "21000002", "Permeke", "Leerkaart"):
        assert words in html
    assert f"application #{bo.pk} stays, because it is the older one; application #{ada.pk} ends." in html
    assert page.context["plan"].keep == bo.user
    assert are_two()


@pytest.mark.parametrize(
    ("text", "obstacle"),
    [
        ("999999", Obstacle.UNKNOWN),
        ("9" * 40, Obstacle.UNKNOWN),
        ("nobody@example.test", Obstacle.UNKNOWN),
        (ADA, Obstacle.SAME),
        ("mo@example.test", Obstacle.YOURSELF),
        ("lin@example.test", Obstacle.STAFF),
        ("gone@example.test", Obstacle.INACTIVE),
    ],
)
def test_who_cannot_be_the_other_is_said_at_once(text: str, obstacle: str, ada: Enrollment, mo: Client) -> None:
    make_librarian()
    make_user("gone@example.test", is_active=False)
    page = find(mo, ada, text)
    assert page.context["form"].errors == {"other": [Obstacle(obstacle).label]}


def test_merging_does_what_was_shown(ada: Enrollment, bo: Enrollment, mo: Client) -> None:
    done = merge(mo, find(mo, ada, str(bo.pk)), ada)
    assert said(done) == ["The two accounts are one now."]
    assert done.redirect_chain == [(reverse("admin:enrollment_enrollment_change", args=[bo.pk]), 302)]
    assert [User.objects.get(email=email).is_active for email in (ADA, BO)] == [False, True]
    assert set(EventNote.objects.values_list("words", flat=True)) == {"Seen at the desk."}


def test_another_choice_is_shown_before_it_is_done(ada: Enrollment, bo: Enrollment, mo: Client) -> None:
    page = merge(mo, find(mo, ada, str(bo.pk)), ada, keep=ada.user_id)
    assert (page.context["overtaken"], page.context["plan"].keep) == (True, ada.user)
    assert are_two()
    merge(mo, page, ada)
    assert [User.objects.get(email=email).is_active for email in (ADA, BO)] == [True, False]


def test_looking_at_another_choice_changes_nothing(ada: Enrollment, bo: Enrollment, mo: Client) -> None:
    page = merge(mo, find(mo, ada, str(bo.pk)), ada, keep=ada.user_id, look="yes", words="Half a")
    assert (page.context["overtaken"], page.context["plan"].keep) == (False, ada.user)
    assert page.context["form"]["words"].value() == "Half a"
    assert are_two()


def test_what_changed_meanwhile_is_shown_once_more(ada: Enrollment, bo: Enrollment, mo: Client) -> None:
    page = find(mo, ada, str(bo.pk))
    ending.give_back(enrollment_id=bo.pk, by=bo.user, now=NOW + timedelta(hours=1))
    again = merge(mo, page, ada)
    assert again.context["overtaken"]
    assert "Nothing was done." in again.content.decode()
    assert are_two()


@pytest.mark.parametrize("words", ["", "  ", "85073003328"])
def test_without_good_words_nothing_is_done(words: str, ada: Enrollment, bo: Enrollment, mo: Client) -> None:
    page = merge(mo, find(mo, ada, str(bo.pk)), ada, words=words)
    assert page.context["form"].errors.keys() == {"words"}
    assert are_two()


def test_account_that_closes_at_the_provider_is_named(
    programme: Programme, ada: Enrollment, bo: Enrollment, permeke: Library, mo: Client
) -> None:
    SeatPool.objects.update(cap=2)
    lin = make_librarian(permeke.institution)
    for each in (ada, bo):
        card_checking.confirm(card_id=each.card_id, by=lin, now=NOW)
    html = find(mo, ada, str(bo.pk)).content.decode()
    assert f"SkillsTown closes the account of {ADA}." in html
    assert "The place that comes free goes to who is next." in html


def test_merged_twice_says_that_it_is_done(ada: Enrollment, bo: Enrollment, mo: Client) -> None:
    page = find(mo, ada, str(bo.pk))
    merge(mo, page, ada)
    assert said(merge(mo, page, ada)) == ["That is the same account."]


@pytest.mark.parametrize("other", ["", "x", "-1", "9" * 30, "999999"])
def test_forged_account_is_not_there(other: str, ada: Enrollment, mo: Client) -> None:
    assert mo.post(address(ada), {"other_id": other, "keep": other, "words": "x"}).status_code == 404


def test_forged_choice_is_not_taken(ada: Enrollment, bo: Enrollment, mo: Client, programme: Programme) -> None:
    cy = make_member("cy@example.test", programme=programme)
    page = merge(mo, find(mo, ada, str(bo.pk)), ada, keep=cy.user_id)
    assert page.context["form"].errors.keys() == {"keep"}
    assert are_two()


def test_application_that_is_not_there_is_not_found(mo: Client) -> None:
    assert mo.get(reverse("admin:enrollment_enrollment_merge", args=[999_999])).status_code == 404


@pytest.mark.parametrize("role", ["librarian", "operator", "auditor"])
def test_only_coordinators_may(role: str, ada: Enrollment, bo: Enrollment, permeke: Library) -> None:
    institution = permeke.institution if role == "librarian" else None
    client = sign_in(make_staff("lin@example.test", StaffRole.Role(role), institution))
    page = client.get(reverse("admin:enrollment_enrollment_change", args=[ada.pk])).content.decode()
    assert address(ada) not in page
    told = {"other_id": bo.user_id, "keep": ada.user_id, "words": "The same."}
    answers = [client.get(address(ada)), client.post(address(ada), told), find(client, ada, str(bo.pk))]
    assert [answer.status_code for answer in answers] == [403] * 3
    assert are_two()
