"""What becomes of courses that were picked at a provider: shown first, then done, once."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Area, Course, Tool
from enrollment import registering
from enrollment.models import Event, Picking
from enrollment.registering import New
from libraries.models import StaffRole, User
from tests.enrollment.views.visiting import words_of
from tests.factories import make_coordinator, make_librarian, make_provider, make_staff
from tests.tools import make_tool
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def tool(db: None) -> Tool:
    return make_tool(make_provider("spring", name="Spring"), deep_linking_url="https://tool.test/pick")


@pytest.fixture
def area(db: None) -> Area:
    return Area.objects.create(slug="office", name_nl="Kantoor", name_fr="Bureau", name_en="Office")


@pytest.fixture
def coordinator(db: None) -> User:
    return make_coordinator()


@pytest.fixture
def mo(coordinator: User) -> Client:
    return sign_in(coordinator)


def item(number: int = 1, **changes: Any) -> dict[str, Any]:
    url = f"https://tool.test/launch/{number}"
    return {"title": f"Course {number}", "text": "", "url": url, "code": f"T-{number}", "custom": {}, **changes}


def make_picked(tool: Tool, user: User, *items: dict[str, Any], **fields: Any) -> Picking:
    picked: Picking = Picking.objects.create(
        tool=tool, user=user, picked_at=timezone.now(), items=list(items), **fields
    )
    return picked


def make_course(tool: Tool, area: Area, code: str, **fields: Any) -> Course:
    told = {"title": f"Title of {code}", "slug": code.lower(), "language": "nl", "level": "starter", "hours": 3}
    course: Course = Course.objects.create(provider=tool.provider, area=area, code=code, **told | fields)
    return course


def page_of(picked: Picking) -> str:
    return f"/en/admin/catalog/tool/{picked.tool_id}/picked/{picked.pk}/"


def new(number: int, in_area: Area, /, **changes: str) -> dict[str, str]:
    told = {
        "take": "on",
        "title": f"Course {number + 1}",
        "code": f"T-{number + 1}",
        "area": str(in_area.pk),
        "language": "nl",
        "level": "starter",
        "hours": "4",
        **changes,
    }
    return {f"item{number}-{name}": value for name, value in told.items() if value}


def test_known_courses_are_found_by_code_address_and_title(tool: Tool, area: Area, coordinator: User) -> None:
    by_code = make_course(tool, area, "t-1", launch_url="https://old.test/1")
    by_address = make_course(tool, area, "X-2", launch_url="https://tool.test/launch", launch_custom={"id": "2"})
    by_title = make_course(tool, area, "X-3", title="The  THIRD")
    for number in (1, 2):
        make_course(tool, area, f"Y-{number}", title="Twice")
    elsewhere = make_tool(make_provider("autumn"), client_id="other")
    make_course(elsewhere, area, "T-9")
    items = [
        item(1),
        item(2, code="", url="https://tool.test/launch", custom={"id": "2"}),
        item(3, code="none", title="the third"),
        item(4, title="twice"),
        item(9),
        item(1, title="Again"),
        item(1),
    ]
    rows = registering.plan(make_picked(tool, coordinator, *items))
    assert [(row.course, row.match) for row in rows] == [
        (by_code, "code"),
        (by_address, "address"),
        (by_title, "title"),
        (None, None),
        (None, None),
        (None, None),
    ]
    assert [row.is_same for row in rows] == [False, True, False, False, False, False]


def test_nothing_is_changed_before_somebody_says_so(mo: Client, tool: Tool, area: Area, coordinator: User) -> None:
    course = make_course(tool, area, "T-1", launch_url="https://old.test/1")
    picked = make_picked(tool, coordinator, item(1), item(2, title="<script>alert(1)</script>"), left_out=3)
    page = mo.get(page_of(picked))
    words = words_of(page)
    for told in ("2 courses were picked", "known by the same code", "https://old.test/1", "3 more things were sent"):
        assert told in words
    assert "<script>alert" not in page.content.decode()
    assert mo.get(f"/en/admin/catalog/tool/{tool.pk}/change/").content.decode().count(page_of(picked)) == 1
    course.refresh_from_db()
    assert (course.launch_url, Course.objects.count(), Event.objects.count()) == ("https://old.test/1", 1, 0)


def test_choice_of_nothing_asks_nothing(mo: Client, tool: Tool, coordinator: User) -> None:
    picked = make_picked(tool, coordinator)
    words = words_of(mo.get(page_of(picked)))
    assert "Nothing was picked." in words
    assert "0 courses" not in words
    assert "Do this" not in words
    assert page_of(picked) not in mo.get(f"/en/admin/catalog/tool/{tool.pk}/change/").content.decode()


def test_courses_are_changed_and_made(mo: Client, tool: Tool, area: Area, coordinator: User) -> None:
    known, other = make_course(tool, area, "T-1"), make_course(tool, area, "T-4")
    make_course(tool, area, "Z", slug="course-2")
    items = [item(1, custom={"a": "b"}), item(2, text="What it is."), item(3), item(4)]
    picked = make_picked(tool, coordinator, *items)
    answer = mo.post(page_of(picked), {"item0-take": "on", **new(1, area)}, follow=True)
    words = words_of(answer)
    assert "1 course starts at another address from now on." in words
    assert "1 course is made." in words
    known.refresh_from_db()
    other.refresh_from_db()
    assert (known.launch_url, known.launch_custom) == ("https://tool.test/launch/1", {"a": "b"})
    assert other.launch_url == ""
    made = Course.objects.get(code="T-2")
    assert (made.slug, made.title, made.hours, made.area, made.provider) == (
        "course-2-2",
        "Course 2",
        4,
        area,
        tool.provider,
    )
    assert (made.description_nl, made.launch_url) == ("What it is.", "https://tool.test/launch/2")
    assert not Course.objects.filter(code="T-3").exists()
    event = Event.objects.get()
    told = (event.kind, event.reason, event.old_value, event.new_value, event.provider_id, event.actor_id)
    assert told == ("courses_imported", "picked", 1, 1, tool.provider_id, coordinator.pk)
    assert "picked at the provider" in words_of(mo.get(f"/en/admin/catalog/provider/{tool.provider_id}/change/"))


def test_choice_is_worked_on_once(mo: Client, tool: Tool, area: Area, coordinator: User) -> None:
    picked = make_picked(tool, coordinator, item(1))
    mo.post(page_of(picked), new(0, area))
    answer = mo.post(page_of(picked), new(0, area, code="T-7"))
    assert "This choice was worked on already" in words_of(answer)
    assert "Do this" not in words_of(answer)
    assert Course.objects.count() == 1


def test_what_is_not_taken_need_not_be_filled_in(mo: Client, tool: Tool, area: Area, coordinator: User) -> None:
    picked = make_picked(tool, coordinator, item(1), item(2))
    wrong = {name: value for name, value in new(0, area, hours="never", area="99").items() if "take" not in name}
    assert mo.post(page_of(picked), wrong).status_code == 302
    assert (Course.objects.count(), Event.objects.count()) == (0, 0)


@pytest.mark.parametrize(
    ("told", "field"),
    [
        ({"hours": ""}, "hours"),
        ({"hours": "0"}, "hours"),
        ({"hours": "1001"}, "hours"),
        ({"hours": "1e309"}, "hours"),
        ({"area": "999999"}, "area"),
        ({"area": "x"}, "area"),
        ({"area": ""}, "area"),
        ({"level": "Z9"}, "level"),
        ({"language": "de"}, "language"),
        ({"title": " "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"code": "x" * 51}, "code"),
        ({"code": "TAKEN"}, "code"),
    ],
)
def test_new_course_is_checked(
    mo: Client, tool: Tool, area: Area, coordinator: User, told: dict[str, str], field: str
) -> None:
    make_course(tool, area, "TAKEN")
    picked = make_picked(tool, coordinator, item(1))
    answer = mo.post(page_of(picked), new(0, area, **told))
    assert answer.status_code == 200
    assert set(answer.context["questions"][0].form.errors) == {field}
    picked.refresh_from_db()
    assert (Course.objects.count(), picked.applied_at) == (1, None)


def test_two_new_ones_with_one_code(mo: Client, tool: Tool, area: Area, coordinator: User) -> None:
    picked = make_picked(tool, coordinator, item(1), item(2))
    answer = mo.post(page_of(picked), new(0, area) | new(1, area, code="T-1"))
    assert list(answer.context["questions"][1].form.errors) == ["code"]
    assert answer.content.decode().count("data-focus") == 1  # beside the one that is wrong, however far down
    assert Course.objects.count() == 0


def test_others_do_not_see_it(tool: Tool, coordinator: User) -> None:
    picked = make_picked(tool, coordinator, item(1))
    for email, role, status in (
        ("c@example.test", StaffRole.Role.COORDINATOR, 404),
        ("a@example.test", StaffRole.Role.AUDITOR, 403),
    ):
        client = sign_in(make_staff(email, role))
        assert client.get(page_of(picked)).status_code == status
        assert client.post(page_of(picked)).status_code == status
    lin = sign_in(make_librarian())
    assert lin.get(page_of(picked)).status_code == 403
    other = make_tool(make_provider("autumn"), client_id="other")
    assert sign_in(coordinator).get(f"/en/admin/catalog/tool/{other.pk}/picked/{picked.pk}/").status_code == 404


def test_operation_itself_asks_who_does_it_and_what(tool: Tool, area: Area, coordinator: User) -> None:
    picked, now = make_picked(tool, coordinator, item(1)), timezone.now()
    good = New(code="T-1", title="One", area_id=area.pk, language="nl", level="starter", hours=2)
    auditor = make_staff("a@example.test", StaffRole.Role.AUDITOR)
    with pytest.raises(registering.Refused):
        registering.apply(picked.pk, change=[], make={0: good}, by=auditor, now=now)
    for bad in ({"hours": 0}, {"code": " "}, {"title": ""}):
        with pytest.raises(registering.Refused):
            registering.apply(picked.pk, change=[], make={0: New(**{**vars(good), **bad})}, by=coordinator, now=now)
    done = registering.apply(picked.pk, change=[0, 7], make={7: good}, by=coordinator, now=now)
    assert (done.changed, done.made, Course.objects.count()) == (0, 0, 0)


def test_number_of_queries_does_not_grow(mo: Client, tool: Tool, area: Area, coordinator: User) -> None:
    counts = []
    for many in (1, 100):
        Course.objects.all().delete()
        picked = make_picked(tool, coordinator, *[item(number) for number in range(1, many + 1)])
        data: dict[str, str] = {}
        for number in range(many):
            data |= new(number, area)
        with CaptureQueriesContext(connection) as shown:
            assert mo.get(page_of(picked)).status_code == 200
        with CaptureQueriesContext(connection) as applied:
            assert mo.post(page_of(picked), data).status_code == 302
        counts.append((len(shown), len(applied)))
    assert counts[0] == counts[1]
    assert Course.objects.count() == 100
