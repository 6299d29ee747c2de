"""Priority is given by a person, for a reason on record, and changes nothing but the order of the queue."""

from __future__ import annotations

import pytest

from enrollment import cap, prioritizing
from enrollment.cap_plan import Plan
from enrollment.models import Enrollment, Event, EventNote
from enrollment.prioritizing import Obstacle, Reason
from libraries.models import User
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/enrollment/enrollment/"


@pytest.fixture
def queue() -> list[Enrollment]:
    """Three people wait, and there is no place."""
    make_library()
    programme = make_programme(cap=0)
    return [make_member(f"{name}@example.test", programme=programme, now=NOW) for name in ("ada", "bo", "cy")]


@pytest.fixture
def lin(queue: list[Enrollment]) -> User:
    return make_librarian()


def give(enrollment: Enrollment, by: User, words: str = "Her card was lost at our desk.") -> Enrollment:
    return prioritizing.give(enrollment_id=enrollment.pk, reason=Reason.OUR_MISTAKE, words=words, by=by, now=NOW)


def line() -> str:
    found = Enrollment.objects.in_line().in_queue_order().values_list("user__email", flat=True)
    return "".join(email[0] for email in found)


def test_priority_puts_before_everybody_without_and_keeps_the_time_of_application(
    queue: list[Enrollment], lin: User
) -> None:
    give(queue[2], lin)
    assert line() == "cab"
    give(queue[1], lin)
    assert line() == "bca"
    assert Enrollment.objects.get(pk=queue[2].pk).applied_at == NOW


def test_whoever_has_priority_gets_the_next_seat(queue: list[Enrollment], lin: User) -> None:
    give(queue[2], lin)
    [given] = cap.change(pool_id=queue[0].pool_id, plan=Plan(cap=1), reason="More", by=make_coordinator(), now=NOW)
    assert given.pk == queue[2].pk


def test_priority_is_recorded_with_its_reason_and_words(queue: list[Enrollment], lin: User) -> None:
    give(queue[2], lin)
    event = Event.objects.get(kind="priority_given")
    assert (event.actor_id, event.enrollment_id, event.reason) == (lin.pk, queue[2].pk, "our_mistake")
    assert EventNote.objects.get(event=event).words == "Her card was lost at our desk."


def test_priority_is_taken_back_to_where_the_application_stood(queue: list[Enrollment], lin: User) -> None:
    give(queue[2], lin)
    prioritizing.take_back(enrollment_id=queue[2].pk, words="It was somebody else.", by=lin, now=NOW)
    assert line() == "abc"
    assert Event.objects.filter(kind="priority_taken").count() == 1


def obstacle(enrollment: Enrollment, by: User, words: str = "So") -> Obstacle:
    with pytest.raises(prioritizing.CannotGive) as caught:
        give(enrollment, by, words)
    return caught.value.obstacle


def test_priority_is_not_given_against_the_rules(queue: list[Enrollment], lin: User) -> None:
    ada = queue[0]
    assert obstacle(ada, make_librarian(make_institution("halle"), "li@example.test")) == Obstacle.NOT_YOURS
    assert obstacle(ada, lin, "  ") == Obstacle.NO_WORDS
    give(ada, lin)
    assert obstacle(ada, lin) == Obstacle.UNCHANGED
    cap.change(pool_id=ada.pool_id, plan=Plan(cap=1), reason="More", by=make_coordinator(), now=NOW)
    assert obstacle(ada, lin) == Obstacle.NOT_WAITING


def test_nobody_gives_themselves_priority(queue: list[Enrollment]) -> None:
    mo = make_coordinator()
    Enrollment.objects.filter(pk=queue[0].pk).update(user=mo)
    assert obstacle(queue[0], mo) == Obstacle.OWN


def test_librarian_gives_priority_in_the_workplace_with_a_reason(queue: list[Enrollment], lin: User) -> None:
    client = sign_in(lin)
    chosen = {"action": "give_priority", "_selected_action": queue[2].pk, "index": "0"}
    page = client.post(LIST, chosen)
    assert "needs a course for work" in page.content.decode()
    page = client.post(LIST, chosen | {"apply": "yes", "reason": "for_work", "words": ""})
    assert page.context["form"].errors == {"words": ["This field is required."]}
    page = client.post(LIST, chosen | {"apply": "yes", "reason": "for_work", "words": "Starts on Monday."}, follow=True)
    assert [str(each) for each in page.context["messages"]] == ["1 person has priority now."]
    assert [row.pk for row in client.get(f"{LIST}?priority=yes").context["cl"].result_list] == [queue[2].pk]
    html = client.get(f"{LIST}{queue[2].pk}/change/").content.decode()
    assert "has priority" in html
    assert "needs a course for work" in html
    chosen["action"] = "take_priority_back"
    page = client.post(LIST, chosen | {"apply": "yes", "words": "Not any more."}, follow=True)
    assert [str(each) for each in page.context["messages"]] == ["1 person has no priority any more."]
