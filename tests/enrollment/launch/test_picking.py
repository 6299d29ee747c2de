"""Courses are picked at a provider's tool: what it is asked, and of its answers the one that is believed."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone
from pylti1p3.deep_link_resource import DeepLinkResource

from catalog.models import Course, Tool
from enrollment.launch import picking
from enrollment.launch.messages import DEEP_LINKING_SETTINGS, LTI, STAFF
from enrollment.models import Launch, Picking
from enrollment.views import picked
from libraries.models import StaffRole, User
from tests.enrollment.views.shelf_of_courses import make_course
from tests.enrollment.views.visiting import words_of
from tests.factories import make_coordinator, make_librarian, make_library, make_programme, make_provider, make_staff
from tests.launches import ask, asked_of, make_ready, posted_by, side_of
from tests.lti_tool import Visit, query_of
from tests.picking import answer_to, go, item, post
from tests.tools import make_tool, new_client, rsa_key, signed
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
PICK = "https://tool.test/pick"


@pytest.fixture
def spring(db: None) -> Tool:
    return make_tool(make_provider("spring", name="Spring"), deep_linking_url=PICK)


@pytest.fixture
def coordinator(db: None) -> User:
    return make_coordinator()


@pytest.fixture
def mo(coordinator: User) -> Client:
    return sign_in(coordinator)


def refused(told: dict[str, Any] | str, **how: Any) -> bool:
    """And nothing is kept of it."""
    before = Picking.objects.count()
    return bool(post(told, **how).status_code == 400) and Picking.objects.count() == before


# --- On the way there ---


def test_tool_is_asked_and_told_nothing_of_who_asks(mo: Client, coordinator: User, spring: Tool) -> None:
    claims = go(mo, spring)
    settings = claims[DEEP_LINKING_SETTINGS]
    assert claims[f"{LTI}message_type"] == "LtiDeepLinkingRequest"
    assert claims[f"{LTI}target_link_uri"] == PICK
    assert claims[f"{LTI}roles"] == list(STAFF)
    assert (settings["accept_types"], settings["accept_multiple"]) == (["ltiResourceLink"], True)
    assert settings["deep_link_return_url"].endswith("/lti/picked")
    assert coordinator.email not in str(claims)
    assert not {"name", "given_name", "family_name", "email"} & set(claims)
    assert claims["sub"] != go(mo, spring)["sub"]
    assert str(Launch.objects.earliest("made_at").pk.hex) not in settings["data"].split(":")[0]


def test_page_on_the_way_speaks_of_no_course(mo: Client, spring: Tool) -> None:
    address = mo.post(f"/en/admin/catalog/tool/{spring.pk}/pick/")["Location"]
    words = words_of(ask(mo, asked_of(address, spring)))
    assert "On to the provider" in words
    assert "On to your course" not in words


def test_button_may_lead_to_the_tool_and_nowhere_else(mo: Client, spring: Tool) -> None:
    page = mo.get(f"/en/admin/catalog/tool/{spring.pk}/change/")
    policy = page["Content-Security-Policy"]
    assert "form-action 'self' https://tool.test" in policy
    assert "Go and pick courses" in words_of(page)


def test_who_may_go(spring: Tool) -> None:
    way = f"/en/admin/catalog/tool/{spring.pk}/pick/"
    ops = sign_in(make_staff("o@example.test", StaffRole.Role.OPERATOR))
    assert ops.post(way)["Location"].startswith("https://tool.test/login?")
    assert sign_in(make_staff("a@example.test", StaffRole.Role.AUDITOR)).post(way).status_code == 403
    assert ops.get(way)["Location"].endswith(f"/{spring.pk}/change/")
    for change in ({"deep_linking_url": ""}, {"deep_linking_url": PICK, "is_on": False}):
        Tool.objects.update(**change)
        assert ops.post(way)["Location"].endswith(f"/{spring.pk}/change/")
    assert Launch.objects.count() == 1


def test_whoever_may_not_pick_any_more_is_refused_on_the_way(mo: Client, spring: Tool) -> None:
    address = mo.post(f"/en/admin/catalog/tool/{spring.pk}/pick/")["Location"]
    StaffRole.objects.update(role=StaffRole.Role.AUDITOR)
    _where, posted = posted_by(ask(mo, asked_of(address, spring)))
    assert posted["error"] == "access_denied"
    assert Launch.objects.get().answered_at is None


def test_somebody_else_does_not_go_in_their_place(mo: Client, spring: Tool) -> None:
    address = mo.post(f"/en/admin/catalog/tool/{spring.pk}/pick/")["Location"]
    other = sign_in(make_coordinator("other@example.test"))
    _where, posted = posted_by(ask(other, asked_of(address, spring)))
    assert posted["error"] == "login_required"


# --- The answer ---


def test_answer_of_a_tool_on_a_library_of_its_own(mo: Client, coordinator: User, spring: Tool) -> None:
    visit, side = Visit(), side_of(spring)
    begun = mo.post(f"/en/admin/catalog/tool/{spring.pk}/pick/")["Location"]
    address = side.login(query_of(begun), visit)
    _where, posted = posted_by(ask(mo, address.partition("?")[2]))
    resource = DeepLinkResource().set_title("Excel").set_url("https://tool.test/launch/7").set_custom_params({"a": "b"})
    told = side.message(posted, visit).get_deep_link().get_message_jwt([resource])
    answer = post(dict(told))
    row = Picking.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"/en/admin/catalog/tool/{spring.pk}/picked/{row.pk}/")
    assert (row.user, row.tool, row.left_out) == (coordinator, spring, 0)
    expected = {"title": "Excel", "text": "", "url": "https://tool.test/launch/7", "code": "", "custom": {"a": "b"}}
    assert row.items == [expected]
    assert "Excel" in words_of(mo.get(answer["Location"]))


def test_answer_counts_once(mo: Client, spring: Tool) -> None:
    asked = go(mo, spring)
    told = answer_to(asked, item())
    token = signed(told)
    assert post(token).status_code == 303
    assert refused(token)
    assert refused(answer_to(asked, item(2)))
    assert refused(answer_to(go(mo, spring), item(), nonce=told["nonce"]))
    assert Picking.objects.get().items[0]["title"] == "Course 1"


def test_number_of_a_token_counts_once_too(mo: Client, spring: Tool) -> None:
    assert post(answer_to(go(mo, spring), item(), jti="one")).status_code == 303
    assert refused(answer_to(go(mo, spring), item(), jti="one"))
    assert post(answer_to(go(mo, spring), item(), jti="same", nonce="same")).status_code == 303


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": None},
        {"iss": "another"},
        {"nonce": None},
        {"nonce": ["x"]},
        {"nonce": "x" * 501},
        {"jti": {"x": 1}},
        {"deployment_id": "2"},
        {"deployment_id": None},
        {"message_type": "LtiResourceLinkRequest"},
        {"version": "1.1"},
        {"data": None},
        {"data": "x"},
        {"data": signing.dumps("no-launch", salt="courses are picked")},
        {"data": signing.dumps("0" * 32, salt="courses are picked")},
        {"content_items": {"type": "ltiResourceLink"}},
        {"content_items": "x"},
        {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 3700},
        {"iat": int(time.time()) - 7200, "exp": int(time.time()) - 3600},
        {"exp": int(time.time()) + 365 * 24 * 3600},
        {"exp": None},
    ],
)
def test_answer_that_is_not_believed(mo: Client, spring: Tool, changes: dict[str, Any]) -> None:
    assert refused(answer_to(go(mo, spring), item(), **changes))


def test_data_of_another_portal(mo: Client, spring: Tool, settings: Any) -> None:
    asked = go(mo, spring)
    settings.SECRET_KEY = "x" * 60
    assert refused(answer_to(asked, item()))


def test_signatures(mo: Client, spring: Tool) -> None:
    told = answer_to(go(mo, spring), item())
    assert refused(told, key=rsa_key("other"))
    assert refused(told, kid="unknown")
    assert refused(jwt.encode(told, "", algorithm="none"))
    assert refused(jwt.encode(told, "s" * 40, algorithm="HS256", headers={"kid": "key-1"}))
    assert post(told).status_code == 303


def test_another_tool_answers_nothing_of_this_one(mo: Client, spring: Tool) -> None:
    keyset = spring.keyset
    other = make_tool(make_provider("autumn"), client_id="other", keyset=keyset, deep_linking_url=PICK)
    assert refused(answer_to(go(mo, spring), item(), iss=other.client_id))
    assert refused(answer_to(go(mo, other), item()))


def test_tool_that_is_off_answers_nothing(mo: Client, spring: Tool) -> None:
    told = answer_to(go(mo, spring), item())
    Tool.objects.update(is_on=False)
    assert refused(told)


def test_launch_that_was_not_answered_or_long_ago_or_of_a_course(mo: Client, spring: Tool) -> None:
    told = answer_to(go(mo, spring), item())
    launches = Launch.objects.all()
    launches.update(answered_at=None)
    assert refused(told)
    launches.update(answered_at=timezone.now() - picking.LASTS_THERE - timedelta(seconds=1))
    assert refused(told)
    make_librarian(make_library().institution)
    enrollment = make_ready(make_programme())
    start: dict[str, Any] = {"message": Launch.Message.COURSE, "enrollment": enrollment, "course": make_course()}
    launches.update(answered_at=timezone.now(), **start)
    assert refused(told)
    launches.update(message=Launch.Message.PICKING, enrollment=None, course=None)
    assert post(told).status_code == 303


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("", "application/x-www-form-urlencoded"),
        ("JWT=", "application/x-www-form-urlencoded"),
        ("JWT=a.b.c&JWT=a.b.c", "application/x-www-form-urlencoded"),
        ("&".join(f"f{n}=1" for n in range(20)), "application/x-www-form-urlencoded"),
        ("JWT=%ff%fe", "application/x-www-form-urlencoded"),
        ("JWT=é", "application/x-www-form-urlencoded"),
        ('{"JWT": "a.b.c"}', "application/json"),
        ("JWT=a.b.c", "text/plain"),
    ],
)
def test_body_that_is_no_answer(db: None, body: str, kind: str) -> None:
    assert new_client().post("/lti/picked", body, content_type=kind).status_code == 400


def test_too_much_too_often_and_other_methods(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert new_client().get("/lti/picked").status_code == 405
    too_much = new_client().post(
        "/lti/picked", "JWT=" + "a" * 300_000, content_type="application/x-www-form-urlencoded"
    )
    assert too_much.status_code == 413
    monkeypatch.setattr(picked, "MOST_REFUSED", 2)
    assert [post("a.b.c").status_code for _ in range(3)] == [400, 400, 429]


def test_refusal_repeats_nothing(spring: Tool, caplog: pytest.LogCaptureFixture) -> None:
    answer = post(signed({"iss": "kanarie", "sub": "kanarie"}))
    assert answer.status_code == 400
    assert "kanarie" not in answer.content.decode() + caplog.text
    assert '?next=/fr/admin/"' in answer.content.decode()  # nothing can be read where it was sent to


# --- What is read of it ---


@pytest.mark.parametrize(
    "told",
    [
        {"type": "link"},
        {"type": "file"},
        "x",
        None,
        [],
        item(url="http://10.0.0.5/*"),
        item(url="javascript:alert(1)"),
        item(url="https://tool.test/" + "x" * 500),
        item(url=7),
        item(custom={"a": "x" * 1001}),
        item(custom={"a" * 101: "x"}),
        item(custom={"a": "\x00"}),
        item(custom={"a": "\ud800"}),
        item(custom={str(n): "x" for n in range(51)}),
        item(custom=["x"]),
    ],
)
def test_item_that_is_left_out(mo: Client, spring: Tool, told: Any) -> None:
    assert post(answer_to(go(mo, spring), told, item())).status_code == 303
    row = Picking.objects.get()
    assert ([each["title"] for each in row.items], row.left_out) == (["Course 1"], 1)


def test_texts_are_bounded_and_codes_found(mo: Client, spring: Tool) -> None:
    told = [
        item(title="<b>" + "x" * 300, text=" a\n\x00 b ", lineItem={"resourceId": "R-1", "scoreMaximum": 1}),
        item(title=None, url=None, custom={"n": 3, "course_id": "C" * 51, "id": "short"}),
        item(title=7, lineItem=["x"], custom=None),
    ]
    post(answer_to(go(mo, spring), *told))
    first, second, third = Picking.objects.get().items
    assert (len(first["title"]), first["text"], first["code"]) == (200, "a b", "R-1")
    assert (second["title"], second["url"], second["code"], second["custom"]["n"]) == ("", "", "short", "3")
    assert (third["title"], third["code"], third["custom"]) == ("", "", {})


def test_number_of_items_is_bounded(mo: Client, spring: Tool) -> None:
    assert post(answer_to(go(mo, spring), *[item(number) for number in range(500)])).status_code == 303
    row = Picking.objects.get()
    assert (len(row.items), row.left_out) == (150, 350)
    assert Course.objects.count() == 0


def test_choices_are_forgotten(mo: Client, spring: Tool) -> None:
    post(answer_to(go(mo, spring), item()))
    assert picking.forget(now=timezone.now() + timedelta(days=29)) == 0
    assert picking.forget(now=timezone.now() + timedelta(days=31)) == 1
