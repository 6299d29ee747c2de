from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from enrollment.models import Event, Letter
from tests.factories import make_coordinator, make_librarian
from tests.workplace import Scene, make_scene, sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/enrollment/letter/"


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def letter(scene: Scene) -> Letter:
    """Ada's mail server refused it for good."""
    letter = Letter.objects.get(enrollment=scene.ada)
    letter.stuck_at, letter.trouble, letter.attempts = timezone.now(), "recipient_550", 1
    letter.save()
    return letter


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_librarian_asks_for_another_try(letter: Letter, scene: Scene) -> None:
    lin = make_librarian(scene.own)
    chosen = {"action": "try_again", "_selected_action": letter.pk, "index": "0"}
    assert said(sign_in(lin).post(LIST, chosen, follow=True)) == ["1 letter is tried again now."]
    letter.refresh_from_db()
    assert (letter.stuck_at, letter.trouble, letter.attempts, letter.version) == (None, "", 0, 1)
    event = Event.objects.get(kind=Event.Kind.LETTER_RETRIED)
    assert (event.actor_id, event.enrollment_id, event.reason) == (lin.pk, scene.ada.pk, letter.kind)


def test_letter_that_is_given_up_is_not_sent(letter: Letter) -> None:
    address = reverse("admin:enrollment_letter_remedy", args=[letter.pk, "give_up"])
    page = sign_in(make_coordinator()).post(address, follow=True)
    assert said(page) == ["1 letter is not sent any more."]
    letter.refresh_from_db()
    assert (letter.due_at, letter.stuck_at, letter.sent_at) == (None, None, None)
    assert letter.dropped_at is not None
    assert Event.objects.filter(kind=Event.Kind.LETTER_DROPPED).count() == 1


def test_letter_that_is_not_stuck_is_left_as_it_was(letter: Letter) -> None:
    Letter.objects.filter(pk=letter.pk).update(stuck_at=None)
    address = reverse("admin:enrollment_letter_remedy", args=[letter.pk, "give_up"])
    assert said(sign_in(make_coordinator()).post(address, follow=True)) == ["1 was left as it was. It was not stuck."]
    assert Letter.objects.get(pk=letter.pk).dropped_at is None


def test_buttons_are_offered_for_a_stuck_letter_alone(letter: Letter) -> None:
    page, mo = reverse("admin:enrollment_letter_change", args=[letter.pk]), sign_in(make_coordinator())
    assert "Do not send it" in mo.get(page).content.decode()
    Letter.objects.filter(pk=letter.pk).update(stuck_at=None)
    assert "Do not send it" not in mo.get(page).content.decode()


def test_remedy_that_does_not_exist_is_not_found(letter: Letter) -> None:
    address = reverse("admin:enrollment_letter_remedy", args=[letter.pk, "burn"])
    assert sign_in(make_coordinator()).post(address).status_code == 404
