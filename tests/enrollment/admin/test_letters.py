from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from enrollment.models import Event, Letter
from libraries.models import StaffRole
from tests.factories import make_coordinator, make_librarian, make_staff
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


# --- Letters to staff ---


@pytest.fixture
def to_staff(scene: Scene) -> list[Letter]:
    """About an institution and about a programme, both stuck."""
    now, mo = timezone.now(), make_coordinator()
    Letter.objects.owe_to_staff(Letter.Kind.HOLDS_ENDING, [mo.pk], now=now, institution_id=scene.own.pk)
    Letter.objects.owe_to_staff(
        Letter.Kind.PLACES_SCARCE, [mo.pk], now=now, pool_id=scene.programme.pool.pk, reason="100"
    )
    mine = Letter.objects.filter(user=mo)
    mine.update(stuck_at=now, trouble="recipient_550")
    return list(mine.order_by("pk"))


def rows_of(page: Any) -> list[int]:
    return sorted(row.pk for row in page.context["cl"].result_list)


@pytest.mark.parametrize("role", [StaffRole.Role.COORDINATOR, StaffRole.Role.OPERATOR, StaffRole.Role.AUDITOR])
def test_letters_to_staff_stand_with_what_they_are_about(role: str, to_staff: list[Letter], scene: Scene) -> None:
    client = sign_in(make_staff("ann@example.test", role))
    page = client.get(f"{LIST}?stuck=yes")
    assert rows_of(page) == [letter.pk for letter in to_staff]
    html = page.content.decode()
    assert f'<td class="field-about">{scene.own.name}</td>' in html
    assert f'<td class="field-about">{scene.programme.name}</td>' in html
    for letter in to_staff:
        assert client.get(reverse("admin:enrollment_letter_change", args=[letter.pk])).status_code == 200


def test_librarian_sees_the_letters_of_members_of_the_own_institution_alone(
    to_staff: list[Letter], scene: Scene
) -> None:
    page = sign_in(make_librarian(scene.own)).get(LIST)
    assert rows_of(page) == sorted(
        Letter.objects.filter(enrollment__share__institution=scene.own).values_list("pk", flat=True)
    )
    assert not set(rows_of(page)) & {letter.pk for letter in to_staff}


def test_letter_to_staff_is_tried_again_or_given_up_on_record(to_staff: list[Letter], scene: Scene) -> None:
    operator = sign_in(make_staff("oz@example.test", StaffRole.Role.OPERATOR))
    again, given_up = to_staff
    for letter, remedy in ((again, "try_again"), (given_up, "give_up")):
        operator.post(reverse("admin:enrollment_letter_remedy", args=[letter.pk, remedy]))
        letter.refresh_from_db()
    assert (again.stuck_at, again.dropped_at, again.version) == (None, None, 1)
    assert (given_up.stuck_at, given_up.due_at) == (None, None)
    events = Event.objects.filter(kind__in=("letter_retried", "letter_dropped")).order_by("pk")
    assert list(events.values_list("kind", "reason", "enrollment_id", "institution_id", "pool_id")) == [
        ("letter_retried", "holds_ending", None, scene.own.pk, None),
        ("letter_dropped", "places_scarce", None, None, scene.programme.pool.pk),
    ]
