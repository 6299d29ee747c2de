"""The page of one's own courses: what stands where, and the forms for saving, taking away and a reminder."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Course, Programme
from enrollment import following
from enrollment.models import CourseRun, Enrollment
from tests.enrollment.launch.learners import begin, seat
from tests.enrollment.views.shelf_of_courses import days_from_now, make_course, offer_course
from tests.enrollment.views.visiting import words_of
from tests.factories import make_user

pytestmark = pytest.mark.django_db
PAGE, COURSE = "/en/my/courses/", "/en/courses/spaans/"
DAY = timedelta(days=1)


@pytest.fixture
def ada() -> Enrollment:
    return seat()


@pytest.fixture
def visit(client: Client, ada: Enrollment) -> Client:
    client.force_login(ada.user)
    return client


@pytest.fixture
def course(ada: Enrollment) -> Course:
    return offered(ada, "Spaans")


def offered(ada: Enrollment, title: str, *, area: str = "languages", language: str = "nl", **times: Any) -> Course:
    course = make_course(title, area=area, language=language)
    offer_course(ada.pool.programme, course, **times)
    return course


def save(ada: Enrollment, course: Course, **fields: Any) -> CourseRun:
    saved = {"saved_at": timezone.now(), **fields}
    return CourseRun.objects.create(user_id=ada.user_id, course=course, **saved)


def read(visit: Client) -> str:
    answer = visit.get(PAGE)
    assert answer.status_code == 200
    return words_of(answer)


def in_order(text: str, *words: str) -> bool:
    places = [text.find(word) for word in words]
    return -1 not in places and places == sorted(places)


# --- The page ---


def test_stranger_signs_in_first(client: Client) -> None:
    answer = client.get(PAGE)
    assert answer["Location"] == f"/en/accounts/login/code/?next={PAGE}"


def test_whoever_has_nothing_is_shown_the_way_and_what_is_new(visit: Client, course: Course) -> None:
    text = read(visit)
    assert in_order(text, "You have no courses yet", "See all courses", "New on the shelf", "Spaans")


def test_last_started_comes_first_with_the_button_then_the_others(visit: Client, ada: Enrollment) -> None:
    now = timezone.now()
    begin(ada, offered(ada, "Frans"), last_started_at=now - 3 * DAY)
    begin(ada, offered(ada, "Spaans"), last_started_at=now - 2 * DAY)
    begin(ada, offered(ada, "Italiaans"), completed_at=now, certificate_code="X")
    save(ada, offered(ada, "Duits"))
    text = read(visit)
    assert in_order(
        text, "Go on where you were", "Spaans", "Started", "Frans", "Saved for later", "Duits", "Finished", "Italiaans"
    )
    assert 'class="button" href="/en/courses/spaans/start/"' in visit.get(PAGE).content.decode()


def test_finished_course_has_its_certificate(visit: Client, ada: Enrollment, course: Course) -> None:
    run = begin(ada, course, completed_at=timezone.now(), certificate_code="X")
    assert f"/en/my/courses/{run.pk}/certificate.pdf" in visit.get(PAGE).content.decode()


def test_last_started_that_may_not_be_started_is_not_the_first(visit: Client, ada: Enrollment) -> None:
    Programme.objects.update(kept_days=30)
    begin(ada, offered(ada, "Frans"), last_started_at=timezone.now() - 3 * DAY)
    begin(ada, offered(ada, "Spaans", offered_until=days_from_now(-40)))
    text = read(visit)
    assert in_order(text, "Go on where you were", "Frans", "Started", "Spaans", "not on offer any more")


@pytest.mark.parametrize(
    ("kept_days", "until", "says"),
    [
        (None, None, None),
        (None, -1, "This course has left the shelf. You keep it as long as you have your place."),
        (30, -1, "This course has left the shelf. You keep it until"),
        (30, 5, "You can follow it until"),
    ],
)
def test_page_says_until_when_a_started_course_is_kept(
    visit: Client, ada: Enrollment, kept_days: int | None, until: int | None, says: str | None
) -> None:
    Programme.objects.update(kept_days=kept_days)
    begin(ada, offered(ada, "Spaans", offered_until=None if until is None else days_from_now(until)))
    text = read(visit)
    assert says in text if says else "until" not in text.partition("Remind")[0]


@pytest.mark.parametrize(
    ("since", "until", "says"),
    [(-9, 9, "You can start it until"), (-9, -1, "not on offer any more"), (9, None, "It is there from")],
)
def test_page_says_when_a_saved_course_can_be_started(
    visit: Client, ada: Enrollment, since: int, until: int | None, says: str
) -> None:
    last = None if until is None else days_from_now(until)
    save(ada, offered(ada, "Spaans", offered_from=days_from_now(since), offered_until=last))
    assert says in read(visit)


def test_without_a_place_it_says_so_once(client: Client, ada: Enrollment) -> None:
    bo = make_user("bo@example.test")
    for title in ("Spaans", "Frans"):
        CourseRun.objects.create(user=bo, course=offered(ada, title), saved_at=timezone.now())
    client.force_login(bo)
    text = read(client)
    assert text.count("You need a place") == 1
    assert "Start this course" not in text


def test_with_a_seat_that_ended_nothing_is_started_and_all_is_there(
    visit: Client, ada: Enrollment, course: Course
) -> None:
    begin(ada, course)
    Enrollment.objects.update(state="ended", ended_at=timezone.now(), end_reason="given_back")
    text = read(visit)
    assert in_order(text, "Your place has ended", "Started", "Spaans")
    assert "Go on" not in text


def test_courses_of_others_are_not_there(visit: Client, ada: Enrollment, course: Course) -> None:
    begin(seat("bo@example.test"), course)
    assert "You have no courses yet" in read(visit)


def test_page_has_nothing_inline_and_is_kept_by_nobody(visit: Client, ada: Enrollment, course: Course) -> None:
    begin(ada, course, remind_on=days_from_now(3))
    save(ada, offered(ada, "Frans"))
    page = visit.get(PAGE)
    assert re.findall(r"<style|<script(?![^>]*\bsrc=)|\bstyle=|\son\w+=|javascript:", page.content.decode()) == []
    assert "no-store" in page["Cache-Control"]


@pytest.mark.parametrize("who", ["member", "stranger"])
def test_menu_leads_members_to_their_courses(client: Client, ada: Enrollment, who: str) -> None:
    if who == "member":
        client.force_login(ada.user)
    menu = client.get("/en/courses/").content.decode().partition("<main")[0]
    assert (f'<li><a href="{PAGE}"' in menu) is (who == "member")  # what is "wide" is not there on a phone


# --- Suggestions ---


def suggested(visit: Client) -> list[str]:
    return [each.course.title for each in visit.get(PAGE).context["found"].suggestions]


def test_suggestions_are_of_the_same_areas_in_turn_and_never_what_they_have(visit: Client, ada: Enrollment) -> None:
    begin(ada, offered(ada, "Spaans"), last_started_at=timezone.now() - 3 * DAY)
    save(ada, offered(ada, "Slapen", area="health"))
    for title, area in (("Frans", "languages"), ("Duits", "languages"), ("Eten", "health"), ("Excel", "office")):
        offered(ada, title, area=area, language="en")
    assert suggested(visit) == ["Eten", "Duits", "Frans"]


def test_suggestions_in_the_language_of_the_page_come_first_then_the_newest(visit: Client, ada: Enrollment) -> None:
    save(ada, offered(ada, "Spaans"))
    offered(ada, "Nieuw", offered_from=days_from_now(-1))
    offered(ada, "Oud")
    offered(ada, "Weg", offered_from=days_from_now(-1), offered_until=days_from_now(2))
    offered(ada, "English", language="en")
    assert suggested(visit) == ["English", "Nieuw", "Oud", "Weg"]


def test_no_more_than_four_are_suggested_and_nothing_off_offer(visit: Client, ada: Enrollment) -> None:
    for number in range(6):
        offered(ada, f"Cursus {number}")
    offered(ada, "Weg", offered_until=days_from_now(-1), offered_from=days_from_now(-9))
    assert suggested(visit) == [f"Cursus {number}" for number in range(4)]


def test_page_asks_as_much_for_many_courses_as_for_one(visit: Client, ada: Enrollment) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as found:
            visit.get(PAGE)
        return len(found)

    def more(number: int) -> None:
        begin(ada, offered(ada, f"Begonnen {number}"), remind_on=days_from_now(3))
        save(ada, offered(ada, f"Bewaard {number}", area="health"))
        save(ada, make_course(f"Weg {number}", area="office"))
        begin(ada, offered(ada, f"Klaar {number}"), completed_at=timezone.now(), certificate_code=str(number))

    more(0)
    queries()
    one = queries()
    for number in range(1, 8):
        more(number)
    assert queries() == one


# --- Save and take away ---


def test_course_page_saves_and_takes_away(visit: Client, ada: Enrollment, course: Course) -> None:
    assert "Save for later" in words_of(visit.get(COURSE))
    assert visit.post(f"{COURSE}save/")["Location"] == COURSE
    assert CourseRun.objects.get().saved_at is not None
    text = words_of(visit.get(COURSE))
    assert "You saved this course for later" in text
    assert visit.post(f"{COURSE}unsave/")["Location"] == COURSE
    assert not CourseRun.objects.exists()


def test_saving_twice_is_once_and_taking_away_twice_too(visit: Client, course: Course) -> None:
    for _ in range(2):
        assert visit.post(f"{COURSE}save/").status_code == 302
    assert CourseRun.objects.count() == 1
    for _ in range(2):
        assert visit.post(f"{COURSE}unsave/", {"here": "yes"})["Location"] == PAGE


def test_started_course_leads_to_my_courses(visit: Client, ada: Enrollment, course: Course) -> None:
    begin(ada, course)
    text = words_of(visit.get(COURSE))
    assert "See all my courses" in text
    assert "Save for later" not in text


def test_course_off_offer_is_not_saved(visit: Client, ada: Enrollment, course: Course) -> None:
    course.listings.update(offered_until=days_from_now(-1))
    assert "Save for later" not in words_of(visit.get(COURSE))
    answer = visit.post(f"{COURSE}save/", follow=True)
    assert "not on offer any more, so you cannot save it" in words_of(answer)
    assert not CourseRun.objects.exists()


def test_visitor_is_led_to_sign_in_and_back(client: Client, ada: Enrollment, course: Course) -> None:
    page = client.get(COURSE)
    assert f'href="/en/accounts/login/code/?next={COURSE}"' in page.content.decode()
    answer = client.post(f"{COURSE}save/", headers={"referer": f"http://testserver{COURSE}"})
    assert answer["Location"] == f"/en/accounts/login/code/?next={COURSE}"
    elsewhere = client.post(f"{COURSE}save/", headers={"referer": "http://[x"})
    assert elsewhere["Location"] == "/en/accounts/login/code/?next=/en/my/"
    assert not CourseRun.objects.exists()


@pytest.mark.parametrize("what", ["save", "unsave", "remind"])
def test_unknown_course_is_not_there_and_a_link_changes_nothing(visit: Client, course: Course, what: str) -> None:
    assert visit.post(f"/en/courses/none/{what}/").status_code == 404
    assert visit.get(f"{COURSE}{what}/").status_code == 405


@pytest.mark.parametrize("what", ["save", "unsave", "remind"])
def test_forged_form_is_refused(ada: Enrollment, course: Course, what: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada.user)
    assert strict.post(f"{COURSE}{what}/", {"day": days_from_now(3)}).status_code == 403
    assert not CourseRun.objects.exists()


# --- The reminder ---


def test_day_is_kept_shown_and_switched_off(visit: Client, ada: Enrollment, course: Course) -> None:
    save(ada, course)
    day = days_from_now(30)
    assert visit.post(f"{COURSE}remind/", {"day": day.isoformat()})["Location"] == PAGE
    assert CourseRun.objects.get().remind_on == day
    assert f"We write to you on {day.day} {day:%B %Y}" in read(visit)
    visit.post(f"{COURSE}remind/", {"off": "yes"})
    assert CourseRun.objects.get().remind_on is None


def test_suggested_days_are_buttons(visit: Client, ada: Enrollment, course: Course) -> None:
    save(ada, course)
    page = visit.get(PAGE).content.decode()
    days = following.choices(timezone.localdate())
    for day in (days.in_a_week, days.in_a_month):
        assert f'name="day" value="{day.isoformat()}"' in page
    # The browser sends the empty field and then the button.
    visit.post(f"{COURSE}remind/", {"day": ["", days.in_a_week.isoformat()]})
    assert CourseRun.objects.get().remind_on == days.in_a_week


@pytest.mark.parametrize(
    "typed",
    ["", "soon", "2027-02-29", "9999-12-31", "2020-01-01", "10000-01-01", "0", "\x00", "1" * 5000, "2027-13-01"],
)
def test_day_that_is_none_is_told_beside_its_field(visit: Client, ada: Enrollment, course: Course, typed: str) -> None:
    run = save(ada, course)
    answer = visit.post(f"{COURSE}remind/", {"day": typed})
    assert answer.status_code == 422
    text = answer.content.decode()
    assert words_of(answer).count("Choose a day from tomorrow up to a year from now.") == 2
    assert f'href="#reminder-{run.pk}-day"' in text
    assert '<details class="question" open>' in text
    assert '?next=/fr/my/courses/"' in text  # the address that the form went to shows no page
    assert CourseRun.objects.get().remind_on is None


def test_course_of_another_has_no_reminder_to_choose(visit: Client, course: Course) -> None:
    begin(seat("bo@example.test"), course)
    assert visit.post(f"{COURSE}remind/", {"day": days_from_now(3).isoformat()}).status_code == 404
    assert not CourseRun.objects.filter(remind_on__isnull=False).exists()


def test_course_that_is_gone_offers_no_reminder_and_lets_go_of_one(visit: Client, ada: Enrollment) -> None:
    saved = save(ada, offered(ada, "Spaans", offered_until=days_from_now(-1)))
    assert "Remind me by email" not in read(visit)
    CourseRun.objects.filter(pk=saved.pk).update(remind_on=days_from_now(5))
    assert "Send me no email" in read(visit)


def test_finished_meanwhile_is_said(visit: Client, ada: Enrollment, course: Course) -> None:
    begin(ada, course, completed_at=timezone.now(), certificate_code="X")
    answer = visit.post(f"{COURSE}remind/", {"day": days_from_now(3).isoformat()}, follow=True)
    assert "You have finished this course already" in words_of(answer)


# --- My place ---


def test_my_place_says_what_is_kept_and_leads_here(visit: Client, ada: Enrollment, course: Course) -> None:
    save(ada, course, remind_on=days_from_now(3))
    begin(ada, offered(ada, "Frans"))
    page = visit.get("/en/my/")
    assert "Saved: 1, started: 1, finished: 0, reminders: 1" in words_of(page)
    assert f'href="{PAGE}"' in page.content.decode()
