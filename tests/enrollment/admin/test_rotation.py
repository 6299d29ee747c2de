"""A coordinator plans the courses on offer: the year ahead, then each change shown first and done as it was shown."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog import rotation
from catalog.models import Course, Listing, Programme
from enrollment.models import CourseRun, Event, EventNote
from enrollment.reports.rotation import year_of
from libraries.models import StaffRole, User
from tests.enrollment.admin.test_closing import programme_form
from tests.enrollment.test_leaving import seated, started
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import make_coordinator, make_librarian, make_library, make_programme, make_staff
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

TODAY = timezone.localdate()
NEXT_MONTH = (TODAY.replace(day=1) + timedelta(days=32)).replace(day=1)


def days(number: int) -> date:
    return TODAY + timedelta(days=number)


@pytest.fixture
def programme() -> Programme:
    make_library()
    return make_programme(core_titles=2)


@pytest.fixture
def spanish(programme: Programme) -> Course:
    return make_course("Spaans")


@pytest.fixture
def french(programme: Programme) -> Course:
    return make_course("Frans")


@pytest.fixture
def mo() -> User:
    return make_coordinator()


@pytest.fixture
def desk(mo: User) -> Client:
    return sign_in(mo)


def page_of(programme: Programme, name: str = "rotation", *more: int) -> str:
    return reverse(f"admin:catalog_programme_{name}", args=[programme.pk, *more])


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def errors(response: Any) -> list[str]:
    return list(response.context["form"].non_field_errors())


def shown(client: Client, address: str, post: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The preview, and what its button sends."""
    answer = client.post(address, post)
    assert answer.context["preview"] is not None, answer.context["form"].errors
    return answer.content.decode(), post | {"expected": answer.context["preview"].fingerprint}


def offered() -> list[tuple[str, str, date, date | None]]:
    rows = Listing.objects.order_by("offered_from", "course__title")
    return list(rows.values_list("course__title", "role", "offered_from", "offered_until"))


# --- The year ahead ---


def test_year_ahead_shows_titles_with_their_time_and_the_most_of_each_month(
    programme: Programme, spanish: Course, french: Course
) -> None:
    offer_course(programme, spanish, offered_until=NEXT_MONTH)
    offer_course(programme, french, offered_from=NEXT_MONTH)
    offer_course(programme, make_course("Gone"), offered_until=TODAY)
    module = {"role": "module", "offered_from": NEXT_MONTH, "offered_until": NEXT_MONTH + timedelta(days=20)}
    offer_course(programme, make_course("Foto"), **module)
    year = year_of(programme, now=timezone.now())
    drawn = [(row.slot.title, row.begun, row.x, row.x + row.width) for row in (*year.core, *year.modules)]
    assert [drawn[0], drawn[1]] == [("Spaans", True, 0, 100), ("Frans", False, 100, 1200)]
    assert drawn[2][:3] == ("Foto", False, 100)
    assert [month.core for month in year.months] == [1] * 12
    assert (year.now, year.free, year.module_now) == (1, 1, None)


def test_page_asks_no_more_the_more_is_on_offer(programme: Programme, spanish: Course, desk: Client) -> None:
    offer_course(programme, spanish)
    desk.get(page_of(programme))
    counts = []
    for number in range(2):
        with CaptureQueriesContext(connection) as queries:
            assert "Spaans" in desk.get(page_of(programme)).content.decode()
        counts.append(len(queries))
        offer_course(
            programme, make_course(f"Later {number}"), offered_from=days(60 + number), offered_until=days(61 + number)
        )
    assert counts[0] == counts[1]


def test_page_of_an_empty_programme(programme: Programme, desk: Client) -> None:
    page = desk.get(page_of(programme)).content.decode()
    assert page.count("Nothing is planned.") == 2
    assert page_of(programme) in desk.get(page_of(programme, "change")).content.decode()


def test_auditor_reads_it_and_a_librarian_does_not(programme: Programme, spanish: Course) -> None:
    listing = offer_course(programme, spanish)
    ann, lin = sign_in(make_staff("ann@example.test", StaffRole.Role.AUDITOR)), sign_in(make_librarian())
    page = ann.get(page_of(programme)).content.decode()
    assert "Spaans" in page
    assert "Replace titles" not in page
    programmes = reverse("admin:catalog_programme_changelist")
    assert [page_of(programme) in client.get(programmes).content.decode() for client in (ann, lin)] == [True, False]
    assert lin.get(page_of(programme)).status_code == 403
    assert page_of(programme) not in lin.get(page_of(programme, "change")).content.decode()
    changes = [page_of(programme, name) for name in ("replace", "module")]
    changes += [page_of(programme, name, listing.pk) for name in ("leaves", "withdraw")]
    for address in changes:
        assert [client.get(address).status_code for client in (ann, lin)] == [403, 403]
        assert [client.post(address, {"reason": "x"}).status_code for client in (ann, lin)] == [403, 403]


def test_operator_plans_too(programme: Programme) -> None:
    oz = sign_in(make_staff("oz@example.test", StaffRole.Role.OPERATOR))
    assert oz.get(page_of(programme, "replace")).status_code == 200


# --- Changes ---


def test_titles_are_replaced_as_it_was_shown(
    programme: Programme, spanish: Course, french: Course, desk: Client, mo: User
) -> None:
    old = offer_course(programme, spanish)
    day = days(40)
    post = {"day": f"{day}", "out": [old.pk], "come": [french.pk], "reason": "More people ask for French."}
    page, post = shown(desk, page_of(programme, "replace"), post)
    assert "“Frans” comes on" in page
    assert "“Spaans” is gone on" in page
    assert offered() == [("Spaans", "core", days(-100), None)]
    assert said(desk.post(page_of(programme, "replace"), post, follow=True)) == [
        "The courses on offer are planned as you saw."
    ]
    assert offered() == [("Spaans", "core", days(-100), day), ("Frans", "core", day, None)]
    events = Event.objects.filter(kind="courses_planned").order_by("pk")
    new = Listing.objects.get(course=french)
    assert list(events.values_list("reason", "actor_id", "old_value", "new_value")) == [
        ("course_added", mo.pk, french.pk, new.pk),
        ("course_changed", mo.pk, spanish.pk, old.pk),
    ]
    assert set(EventNote.objects.values_list("words", flat=True)) == {"More people ask for French."}


def test_every_rule_that_is_broken_is_told_and_nothing_is_done(
    programme: Programme, spanish: Course, french: Course, desk: Client
) -> None:
    Programme.objects.update(core_titles=1)
    offer_course(programme, spanish, offered_until=days(40))
    post = {"day": f"{days(-1)}", "come": [spanish.pk, french.pk], "reason": "Why not."}
    answer = desk.post(page_of(programme, "replace"), post)
    assert answer.context["preview"] is None
    assert len(errors(answer)) == 4
    assert any("would be on offer twice at once" in words for words in errors(answer))
    desk.post(page_of(programme, "replace"), post | {"expected": "x"})
    assert Listing.objects.count() == 1


@pytest.mark.parametrize("day", ["2027-02-29", "31/02/2027", "tomorrow", "0000-01-01", "99999-01-01", "", "9" * 5000])
def test_day_that_is_none_is_refused(programme: Programme, french: Course, desk: Client, day: str) -> None:
    answer = desk.post(page_of(programme, "replace"), {"day": day, "come": [french.pk], "reason": "Why."})
    assert answer.status_code == 200
    assert "day" in answer.context["form"].errors


def test_choices_that_were_not_offered_are_refused(programme: Programme, spanish: Course, desk: Client) -> None:
    elsewhere = offer_course(make_programme("other"), spanish)
    post = {"day": f"{days(3)}", "out": [elsewhere.pk], "come": ["0", "'; DROP"], "reason": "Why."}
    answer = desk.post(page_of(programme, "replace"), post)
    assert set(answer.context["form"].errors) == {"out", "come"}
    assert desk.get(page_of(programme, "leaves", elsewhere.pk)).status_code == 404
    assert desk.get(page_of(programme, "withdraw", 999_999)).status_code == 404


def test_what_is_on_offer_without_an_end_cannot_come_again(
    programme: Programme, spanish: Course, french: Course, desk: Client
) -> None:
    listing = offer_course(programme, spanish)
    for address in ("replace", "module"):
        page = desk.get(page_of(programme, address)).content.decode()
        assert f"Spaans ({spanish.code})" not in page
        assert f"Frans ({french.code})" in page
    post = {"day": f"{days(40)}", "out": [listing.pk], "come": [spanish.pk], "reason": "The same again."}
    assert "come" in desk.post(page_of(programme, "replace"), post).context["form"].errors


def test_change_without_a_reason_is_refused(programme: Programme, french: Course, desk: Client) -> None:
    post = {"day": f"{days(3)}", "come": [french.pk], "reason": "  "}
    assert "reason" in desk.post(page_of(programme, "replace"), post).context["form"].errors


def test_module_of_a_month_is_added(programme: Programme, french: Course, desk: Client) -> None:
    post = {"month": f"{NEXT_MONTH:%Y-%m}", "course": french.pk, "reason": "Summer is near."}
    _page, post = shown(desk, page_of(programme, "module"), post)
    desk.post(page_of(programme, "module"), post)
    end = (NEXT_MONTH + timedelta(days=32)).replace(day=1)
    assert offered() == [("Frans", "module", NEXT_MONTH, end)]
    assert Event.objects.get(kind="courses_planned").reason == "module_added"
    again = desk.post(page_of(programme, "module"), post | {"course": make_course("Foto").pk})
    assert ["would have two modules" in words for words in errors(again)] == [True]
    assert "– Frans" in desk.get(page_of(programme, "module")).content.decode()


@pytest.mark.parametrize("month", ["2019-01", "2027-13", "x", "", "2027-2"])
def test_month_that_is_not_offered_is_refused(programme: Programme, french: Course, desk: Client, month: str) -> None:
    answer = desk.post(page_of(programme, "module"), {"month": month, "course": french.pk, "reason": "Why."})
    assert "month" in answer.context["form"].errors


def test_end_of_a_title_that_is_followed_says_how_many_and_from_when(
    programme: Programme, spanish: Course, desk: Client
) -> None:
    listing = offer_course(programme, spanish)
    started(seated(programme, "ada@example.test"), spanish)
    address = page_of(programme, "leaves", listing.pk)
    answer = desk.post(address, {"day": f"{days(29)}", "reason": "Too old."})
    assert ["not finished it: 1. They are told" in words for words in errors(answer)] == [True]
    page, post = shown(desk, address, {"day": f"{days(30)}", "reason": "Too old."})
    assert "1 member has started it and not finished it" in page
    assert "They keep it as long as their place lasts." in page
    desk.post(address, post)
    assert offered()[0][3] == days(30)
    page, post = shown(desk, address, {"day": "", "reason": "It stays."})
    desk.post(address, post)
    assert offered()[0][3] is None


def test_planned_title_that_was_saved_is_withdrawn_once_that_was_shown(
    programme: Programme, spanish: Course, desk: Client
) -> None:
    listing = offer_course(programme, spanish, offered_from=days(10))
    address = page_of(programme, "withdraw", listing.pk)
    _page, early = shown(desk, address, {"reason": "Not ready."})
    ada = seated(programme, "ada@example.test")
    CourseRun.objects.create(user=ada.user, course=spanish, saved_at=timezone.now())
    answer = desk.post(address, early)
    assert answer.context["overtaken"]
    assert "1 member has saved it for later." in answer.content.decode()
    assert Listing.objects.count() == 1
    desk.post(address, early | {"expected": answer.context["preview"].fingerprint})
    assert Listing.objects.count() == 0
    assert Event.objects.get(kind="courses_planned").reason == "course_withdrawn"


def test_title_that_has_begun_is_not_withdrawn(programme: Programme, spanish: Course, desk: Client) -> None:
    listing = offer_course(programme, spanish)
    answer = desk.post(page_of(programme, "withdraw", listing.pk), {"reason": "Away with it."})
    assert ["it cannot be taken away" in words for words in errors(answer)] == [True]


def test_back_from_the_preview_keeps_what_was_filled_in(programme: Programme, french: Course, desk: Client) -> None:
    post = {"day": f"{days(3)}", "come": [french.pk], "reason": "Why.", "expected": "x", "back": "yes"}
    answer = desk.post(page_of(programme, "replace"), post)
    assert answer.context["preview"] is None
    assert 'value="Why."' in answer.content.decode() or ">Why.</textarea>" in answer.content.decode().replace("\n", "")
    assert Listing.objects.count() == 0


# --- One title at a time, and the number of them ---


def test_listing_is_added_and_changed_by_the_same_rules(
    programme: Programme, spanish: Course, french: Course, desk: Client
) -> None:
    add = reverse("admin:catalog_listing_add")
    post = {"programme": programme.pk, "course": spanish.pk, "role": "core", "reason": "New."}
    post |= {"offered_from": f"{days(5)}", "offered_until": ""}
    assert desk.post(add, post | {"offered_from": f"{days(-5)}"}).status_code == 200
    assert Listing.objects.count() == 0
    assert desk.post(add, post).status_code == 302
    listing = Listing.objects.get()
    change = reverse("admin:catalog_listing_change", args=[listing.pk])
    moved = {"role": "core", "offered_from": f"{days(8)}", "offered_until": f"{days(90)}", "reason": "Later."}
    assert desk.post(change, moved).status_code == 302
    assert offered() == [("Spaans", "core", days(8), days(90))]
    assert [event.reason for event in Event.objects.filter(kind="courses_planned").order_by("pk")] == [
        "course_added",
        "course_changed",
    ]


def test_of_a_listing_that_has_begun_only_the_end_changes_and_nothing_deletes_it(
    programme: Programme, spanish: Course, desk: Client
) -> None:
    listing = offer_course(programme, spanish)
    change = reverse("admin:catalog_listing_change", args=[listing.pk])
    post = {"offered_from": f"{days(5)}", "role": "module", "offered_until": f"{days(9)}", "reason": "Away."}
    assert desk.post(change, post).status_code == 302
    assert offered() == [("Spaans", "core", days(-100), days(9))]
    assert desk.post(reverse("admin:catalog_listing_delete", args=[listing.pk]), {"post": "yes"}).status_code == 403


def test_core_titles_are_not_lowered_below_what_is_planned(
    programme: Programme, spanish: Course, french: Course, desk: Client
) -> None:
    offer_course(programme, spanish)
    offer_course(programme, french, offered_from=days(50))
    told = programme_form(programme, desk)
    answer = desk.post(page_of(programme, "change"), told | {"core_titles": "1"})
    assert answer.context["adminform"].errors == {"core_titles": ["So many core titles are planned on one day: 2."]}
    assert desk.post(page_of(programme, "change"), told | {"core_titles": "3"}).status_code == 302
    assert Programme.objects.get().core_titles == 3


@pytest.mark.parametrize("form", ["programme", "listing"])
def test_page_tells_when_somebody_else_is_at_work(
    programme: Programme, spanish: Course, desk: Client, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    listing = offer_course(programme, spanish)
    forms = {
        "programme": (page_of(programme, "change"), programme_form(programme, desk)),
        "listing": (
            reverse("admin:catalog_listing_change", args=[listing.pk]),
            {"offered_until": f"{days(9)}", "reason": "Away."},
        ),
    }
    address, told = forms[form]

    def busy(_pk: int) -> None:
        raise OperationalError

    monkeypatch.setattr(rotation, "lock", busy)
    answer = desk.post(address, told, follow=True)
    assert said(answer) == ["Somebody else is at work there. Try again in a minute."]
    assert Listing.objects.get().offered_until is None
