"""A coordinator takes in a provider's list of courses: shown first, and then just that, from a file or from the API."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog import course_files, course_lists
from catalog.course_lists import Defaults
from catalog.models import Area, Course, Provider
from catalog.provider import moodle_courses
from enrollment import course_importing
from enrollment.course_importing import CannotImport, Source
from enrollment.models import Event
from libraries.models import StaffRole, User
from portal.sandbox.moodle_site import Course as MoodleCourse
from tests.enrollment.views.shelf_of_courses import make_area, make_course, offer_course
from tests.factories import make_coordinator, make_librarian, make_programme, make_provider, make_staff
from tests.moodle_server import running_moodle
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

LIST = "code;title;area;language;level;hours\nST-1;Spaans;languages;nl;A1;20\nST-2;Frans;languages;nl;A1;8\n"


@pytest.fixture
def provider() -> Provider:
    make_area()
    return make_provider()


@pytest.fixture
def mo() -> User:
    return make_coordinator()


@pytest.fixture
def desk(mo: User) -> Client:
    return sign_in(mo)


def address() -> str:
    return reverse("admin:catalog_course_import")


def wish(provider: Provider, content: str = LIST, **more: Any) -> dict[str, Any]:
    file = SimpleUploadedFile("courses.csv", content.encode())
    return {"provider": provider.pk, "source": "courses_from_file", "file": file, **more}


def shown(client: Client, provider: Provider, content: str = LIST, **more: Any) -> Any:
    answer = client.post(address(), wish(provider, content, **more))
    assert answer.status_code == 200, answer
    return answer


def codes() -> list[str]:
    return list(Course.objects.order_by("code").values_list("code", flat=True))


def test_list_is_shown_and_then_taken_in(provider: Provider, desk: Client, mo: User) -> None:
    offer_course(make_programme(), make_course("Oud", code="ST-0"))
    answer = shown(desk, provider)
    page = answer.content.decode()
    assert (codes(), "Take in this list" in page, ">on offer<" in page) == (["ST-0"], True, True)
    expected = answer.context["comparison"].fingerprint
    assert f'value="{expected}"' in page
    done = desk.post(address(), wish(provider, expected=expected), follow=True)
    assert [str(message) for message in done.context["messages"]] == ["The list of courses is taken in."]
    assert codes() == ["ST-0", "ST-1", "ST-2"]
    event = Event.objects.get(kind="courses_imported")
    told = (event.reason, event.actor_id, event.provider_id, event.old_value, event.new_value)
    assert told == ("courses_from_file", mo.pk, provider.pk, 0, 2)


def test_another_file_than_was_shown_is_shown_first(provider: Provider, desk: Client) -> None:
    expected = shown(desk, provider).context["comparison"].fingerprint
    answer = shown(desk, provider, LIST + "ST-3;Duits;languages;nl;A1;8\n", expected=expected)
    assert "This is another list than was shown" in answer.content.decode()
    assert (codes(), Event.objects.filter(kind="courses_imported").count()) == ([], 0)


def test_rows_that_are_left_out_are_told_with_their_line(provider: Provider, desk: Client) -> None:
    page = shown(desk, provider, LIST + "ST-3;=1+1;;;;\nST-4;Nieuw;elsewhere;nl;A1;3\n").content.decode()
    assert '<td class="line">4</td><td>A cell begins with' in page
    assert '<td class="line">5</td><td>This area is not known here.' in page


def test_new_titles_get_what_was_chosen_for_them(provider: Provider, desk: Client) -> None:
    chosen = {"area": Area.objects.get().pk, "language": "fr", "level": "starter", "hours": "3"}
    bare = "code;title\n1;Un\n"
    expected = shown(desk, provider, bare, **chosen).context["comparison"].fingerprint
    desk.post(address(), wish(provider, bare, expected=expected, **chosen))
    assert Course.objects.values_list("language", "level", "hours").get() == ("fr", "starter", 3)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"file": ""}, "file"),
        ({"file": SimpleUploadedFile("x.csv", b"area;x\n1;2\n")}, "file"),
        ({"file": SimpleUploadedFile("x.xlsx", b"PK\x03\x04nonsense")}, "file"),
        ({"provider": "999999"}, "provider"),
        ({"source": "elsewhere"}, "source"),
        ({"source": "courses_from_api"}, "source"),
        ({"hours": "1e309"}, "hours"),
        ({"language": "de"}, "language"),
        ({"area": "0"}, "area"),
    ],
)
def test_what_makes_no_sense_is_told_beside_the_field(
    provider: Provider, desk: Client, more: dict[str, Any], field: str
) -> None:
    answer = desk.post(address(), wish(provider) | more)
    assert list(answer.context["form"].errors) == [field]
    assert codes() == []


def test_list_is_for_coordinators_and_operators(provider: Provider) -> None:
    ann = sign_in(make_staff("ann@example.test", StaffRole.Role.AUDITOR))
    for client in (ann, sign_in(make_librarian())):
        assert [client.get(address()).status_code, client.post(address(), wish(provider)).status_code] == [403, 403]
    assert address() not in ann.get(reverse("admin:catalog_course_changelist")).content.decode()
    oz = sign_in(make_staff("oz@example.test", StaffRole.Role.OPERATOR))
    assert address() in oz.get(reverse("admin:catalog_course_changelist")).content.decode()
    assert shown(oz, provider).context["comparison"].does_something


def test_operations_themselves_ask_who_does_it(provider: Provider) -> None:
    by, now, contents = make_librarian(), timezone.now(), course_files.read(BytesIO(LIST.encode()))
    listed: dict[str, Any] = {
        "source": Source.FILE,
        "expected": course_lists.compare(provider, contents, Defaults()).fingerprint,
    }
    with pytest.raises(CannotImport):
        course_importing.fetch(provider, by=by, now=now, secret_of=str)
    with pytest.raises(CannotImport):
        course_importing.preview(provider, contents, Defaults(), by=by)
    with pytest.raises(CannotImport):
        course_importing.take_in(provider.pk, contents, Defaults(), by=by, now=now, **listed)
    assert codes() == []


# --- By the API ---


@pytest.fixture
def at_moodle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    make_area()
    moodle_courses._known.clear()
    with running_moodle(tmp_path / "moodle.jsonl") as moodle:
        monkeypatch.setenv("MOODLE_TOKEN", moodle.token)
        summary = "<p>Je leert <b>lassen</b>.</p><script>x</script>"
        moodle.site.courses[90] = MoodleCourse(
            90, "", "welding-2", lang="nl", fullname="Lassen &amp; snijden", summary=summary
        )
        moodle.site.courses[91] = MoodleCourse(91, "hidden", "hidden", visible=0)
        told = {"kind": "moodle", "base_url": moodle.base_url, "secret_name": "MOODLE_TOKEN"}
        yield make_provider("moodle", name="Moodle", **told)


@pytest.mark.django_db(transaction=True)
def test_list_is_fetched_from_moodle(at_moodle: Provider, desk: Client) -> None:
    chosen = {"area": Area.objects.get().pk, "language": "en", "level": "starter", "hours": "3"}
    post = {"provider": at_moodle.pk, "source": "courses_from_api", **chosen}
    answer = desk.post(address(), post)
    comparison = answer.context["comparison"]
    assert [course.code for course in comparison.new] == ["excel", "python", "welding", "welding-2"]
    desk.post(address(), post | {"expected": comparison.fingerprint})
    welding = Course.objects.get(code="welding-2")
    assert (welding.title, welding.language, welding.description_nl) == ("Lassen & snijden", "nl", "Je leert lassen.")
    assert Event.objects.get(kind="courses_imported").reason == "courses_from_api"


@pytest.mark.django_db(transaction=True)
def test_provider_that_does_not_answer_is_told_in_words(
    at_moodle: Provider, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    post = {"provider": at_moodle.pk, "source": "courses_from_api"}
    monkeypatch.delenv("MOODLE_TOKEN")
    answer = desk.post(address(), post)
    assert answer.context["form"].errors == {"source": ["The secret of this provider is not set."]}
    Provider.objects.update(base_url="http://127.0.0.1:9/")
    monkeypatch.setenv("MOODLE_TOKEN", "x")
    assert list(desk.post(address(), post).context["form"].errors) == ["source"]


@pytest.mark.django_db(transaction=True)
def test_provider_is_not_asked_more_often_than_it_should(at_moodle: Provider, desk: Client) -> None:
    post = {"provider": at_moodle.pk, "source": "courses_from_api"}
    answers = [desk.post(address(), post).context["form"].errors for _ in range(7)]
    assert answers[:6] == [{}] * 6
    assert "very often" in answers[6]["source"][0]
