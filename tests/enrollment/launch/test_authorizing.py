"""Whatever is not as it must be when a tool asks who came: refused, and told to no tool but a registered one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from catalog.models import Course, Listing, Programme, Tool
from enrollment import ending
from enrollment.launch import addresses, keys
from enrollment.models import CourseRun, Enrollment, Launch, ProviderAccount
from tests.enrollment.views.shelf_of_courses import days_from_now
from tests.enrollment.views.visiting import heading_of
from tests.factories import make_provider, make_tool
from tests.launches import ask, asked_of, at, begin, button_of, make_ready, posted_by, press, subject_of

LAUNCH = "https://tool.test/launch"


@pytest.fixture
def begun(signed_in: Client, course: Course, tool: Tool) -> str:
    return begin(signed_in, course)


def refusal_of(page: Any) -> str:
    """The error that is posted to the tool, with its state, and nothing else."""
    where, posted = posted_by(page)
    assert (page.status_code, where) == (200, LAUNCH)
    assert {*posted} - {"state"} == {"error", "error_description"}
    return posted["error"]


def is_ours_alone(page: Any) -> bool:
    """A page of the portal's own, which leads to nobody."""
    text = page.content.decode()
    leads = re.findall(r'(?:href|action|src)="(?!/|#)', text)
    return (page.status_code, "Location" in page, "data-post" in text, leads) == (400, False, False, [])


# --- No tool that is registered: a page of ours ---


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": None},
        {"client_id": "another"},
        {"client_id": ""},
        {"client_id": "x" * 10_000},
        {"client_id": "\x00"},
        {"redirect_uri": None},
        {"redirect_uri": f"{LAUNCH}/"},
        {"redirect_uri": "https://tool.test/launcH"},
        {"redirect_uri": f"{LAUNCH}?x=1"},
        {"redirect_uri": "http://tool.test/launch"},
        {"redirect_uri": "https://tool.test:443/launch"},
        {"redirect_uri": "https://evil.test/launch"},
        {"redirect_uri": f"https://evil.test/{LAUNCH}"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": f"{LAUNCH}\x00"},
    ],
    ids=lambda change: "-".join(f"{name}={str(value)[:30]!r}" for name, value in change.items()),
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(
    signed_in: Client, begun: str, tool: Tool, change: dict[str, str | None]
) -> None:
    assert is_ours_alone(ask(signed_in, asked_of(begun, tool, **change)))


def test_address_of_another_tool_is_not_this_ones(signed_in: Client, begun: str, tool: Tool) -> None:
    other = make_tool(make_provider("other"), redirect_uris=["https://evil.test/launch"])
    assert is_ours_alone(ask(signed_in, asked_of(begun, tool, redirect_uri=other.redirect_uris[0])))


def test_tool_that_is_switched_off_gets_nothing(signed_in: Client, begun: str, tool: Tool) -> None:
    Tool.objects.update(is_on=False)
    assert is_ours_alone(ask(signed_in, asked_of(begun, tool)))


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_client_and_address_are_told_once(signed_in: Client, begun: str, tool: Tool, name: str) -> None:
    asked = asked_of(begun, tool)
    assert is_ours_alone(ask(signed_in, f"{urlencode(asked)}&{urlencode({name: asked[name]})}"))


def test_page_of_a_stranger_is_in_the_language_that_was_chosen(client: Client, tool: Tool) -> None:
    client.cookies["language"] = "en"
    page = ask(client, {})
    assert heading_of(page) == "This start cannot go on"
    assert 'href="/en/courses/"' in page.content.decode()


def test_page_of_a_stranger_is_in_the_language_of_the_browser_where_none_was_chosen(client: Client, tool: Tool) -> None:
    """A form from another site comes without the cookie."""
    client.defaults["HTTP_ACCEPT_LANGUAGE"] = "en-GB,en;q=0.9,nl;q=0.5"
    assert heading_of(ask(client, {})) == "This start cannot go on"


# --- A tool that is registered asks wrongly: it is told so ---


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_type": "code"}, "unsupported_response_type"),
        ({"response_type": "id_token token"}, "unsupported_response_type"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": "openidx"}, "invalid_scope"),
        ({"response_mode": None}, "invalid_request"),
        ({"response_mode": "query"}, "invalid_request"),
        ({"prompt": None}, "invalid_request"),
        ({"prompt": "login"}, "invalid_request"),
        ({"nonce": None}, "invalid_request"),
        ({"nonce": ""}, "invalid_request"),
        ({"nonce": "n" * 501}, "invalid_request"),
        ({"nonce": "a\x00b"}, "invalid_request"),
        ({"login_hint": None}, "invalid_request"),
        ({"lti_message_hint": None}, "invalid_request"),
        ({"lti_message_hint": "1 OR 1=1"}, "invalid_request"),
        ({"lti_message_hint": "%00"}, "invalid_request"),
        ({"lti_message_hint": "0" * 31 + "1"}, "invalid_request"),
        ({"login_hint": "00000000-0000-4000-8000-000000000001"}, "login_required"),
        ({"login_hint": "1"}, "login_required"),
    ],
    ids=lambda change: str(change)[:40],
)
def test_tool_is_told_what_is_wrong(
    signed_in: Client, begun: str, tool: Tool, change: dict[str, str | None], error: str
) -> None:
    page = ask(signed_in, asked_of(begun, tool, **change))
    assert (refusal_of(page), posted_by(page)[1]["state"]) == (error, "the-state")
    assert (CourseRun.objects.count(), Launch.objects.get().answered_at) == (0, None)


def test_state_comes_back_as_it_was(signed_in: Client, begun: str, tool: Tool) -> None:
    strange = "<\"'>&é\n" * 10
    assert posted_by(ask(signed_in, asked_of(begun, tool, prompt="x", state=strange)))[1]["state"] == strange
    for state in ("", "s" * 2001, "a\x00"):
        page = ask(signed_in, asked_of(begun, tool, state=state))
        assert (refusal_of(page), "state" in posted_by(page)[1]) == ("invalid_request", False)
    assert "state" not in posted_by(ask(signed_in, asked_of(begun, tool, state=None)))[1]


def test_nothing_else_is_told_twice(signed_in: Client, begun: str, tool: Tool) -> None:
    for name, value in asked_of(begun, tool).items():
        if name not in ("client_id", "redirect_uri"):
            page = ask(signed_in, f"{urlencode(asked_of(begun, tool))}&{urlencode({name: value})}")
            assert refusal_of(page) == "invalid_request", name


def test_scope_may_hold_more_than_is_needed(signed_in: Client, begun: str, tool: Tool) -> None:
    page = ask(signed_in, asked_of(begun, tool, scope="profile openid email", nonce="n" * 500, extra="x"))
    assert "id_token" in posted_by(page)[1]


@pytest.mark.parametrize("part", ["lti_message_hint", "login_hint"])
def test_hint_of_which_a_letter_is_changed_is_none(signed_in: Client, begun: str, tool: Tool, part: str) -> None:
    asked = asked_of(begun, tool)
    last = "0" if asked[part][-1] != "0" else "1"
    error = refusal_of(ask(signed_in, asked | {part: asked[part][:-1] + last}))
    assert error == {"lti_message_hint": "invalid_request", "login_hint": "login_required"}[part]


# --- Who comes ---


def test_nobody_is_signed_in(begun: str, tool: Tool) -> None:
    assert refusal_of(ask(Client(), asked_of(begun, tool))) == "login_required"


def test_somebody_else_is_signed_in(begun: str, programme: Programme, tool: Tool) -> None:
    bo = make_ready(programme, "bo@example.test")
    assert refusal_of(ask(at(bo), asked_of(begun, tool))) == "login_required"
    assert refusal_of(ask(at(bo), asked_of(begun, tool, login_hint=subject_of(bo)))) == "login_required"
    assert Launch.objects.get().answered_at is None


def test_hint_of_another_member_is_refused(signed_in: Client, begun: str, programme: Programme, tool: Tool) -> None:
    bo = make_ready(programme, "bo@example.test")
    assert refusal_of(ask(signed_in, asked_of(begun, tool, login_hint=subject_of(bo)))) == "login_required"


def test_start_at_one_tool_is_not_answered_to_another(signed_in: Client, begun: str, tool: Tool) -> None:
    other = make_tool(make_provider("other"), redirect_uris=[LAUNCH])
    assert refusal_of(ask(signed_in, asked_of(begun, tool, client_id=other.client_id))) == "invalid_request"


def test_account_that_has_changed_is_another_member(signed_in: Client, begun: str, tool: Tool) -> None:
    ProviderAccount.objects.update(external_id=uuid4())
    assert refusal_of(ask(signed_in, asked_of(begun, tool))) == "login_required"


# --- When ---


def test_start_is_answered_once(signed_in: Client, begun: str, tool: Tool) -> None:
    asked = asked_of(begun, tool)
    assert "id_token" in posted_by(ask(signed_in, asked))[1]
    assert refusal_of(ask(signed_in, asked)) == "invalid_request"
    assert refusal_of(ask(signed_in, asked | {"nonce": "another", "state": "another"})) == "invalid_request"


@pytest.mark.parametrize(("later", "answered"), [(-1, True), (0, False), (1, False)])
def test_start_lasts_five_minutes(signed_in: Client, begun: str, tool: Tool, later: int, answered: bool) -> None:
    launch = Launch.objects.get()
    assert launch.expires_at - launch.made_at == timedelta(minutes=5)
    Launch.objects.update(expires_at=timezone.now() - timedelta(seconds=30 * later))
    assert ("id_token" in posted_by(ask(signed_in, asked_of(begun, tool)))[1]) is answered


def leave(ada: Enrollment) -> None:
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=timezone.now())


def end(ada: Enrollment) -> None:
    Enrollment.objects.filter(pk=ada.pk).update(ends_at=timezone.now())


def take_off(_ada: Enrollment) -> None:
    Listing.objects.update(offered_until=days_from_now(0))


def close_account(_ada: Enrollment) -> None:
    ProviderAccount.objects.update(seen="inactive")


@pytest.mark.parametrize("change", [leave, end, take_off, close_account], ids=lambda change: change.__name__)
def test_what_ended_on_the_way_is_not_started(
    signed_in: Client, ada: Enrollment, begun: str, tool: Tool, change: Callable[[Enrollment], None]
) -> None:
    change(ada)
    assert refusal_of(ask(signed_in, asked_of(begun, tool))) == "access_denied"
    assert CourseRun.objects.count() == 0


# --- How it is asked ---


def test_form_from_another_site_comes_back_by_a_link(signed_in: Client, begun: str, tool: Tool) -> None:
    """Without a session, as a browser sends it."""
    asked = asked_of(begun, tool) | {"email": "ada@example.test"}
    answer = Client(enforce_csrf_checks=True).post(f"/{addresses.AUTHORIZATION}", asked)
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (303, f"/{addresses.AUTHORIZATION}")
    assert "example" not in answer["Location"]
    assert "id_token" in posted_by(signed_in.get(answer["Location"]))[1]


def test_form_keeps_what_is_told_twice(signed_in: Client, begun: str, tool: Tool) -> None:
    answer = Client().post(f"/{addresses.AUTHORIZATION}", asked_of(begun, tool) | {"scope": ["openid", "openid"]})
    assert refusal_of(signed_in.get(answer["Location"])) == "invalid_request"


def test_form_that_fits_no_address_is_refused(client: Client, tool: Tool) -> None:
    assert is_ours_alone(client.post(f"/{addresses.AUTHORIZATION}", {"state": "s" * 4000}))


def test_other_ways_are_not_known(client: Client, db: None) -> None:
    for method in ("put", "delete", "patch", "head"):
        assert getattr(client, method)(f"/{addresses.AUTHORIZATION}").status_code == 405


def test_log_names_nobody(signed_in: Client, begun: str, tool: Tool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ask(signed_in, asked_of(begun, tool, scope="profile"))
    ask(signed_in, asked_of(begun, tool, redirect_uri="https://evil.test"))
    ask(signed_in, asked_of(begun, tool))
    assert "a start is refused: invalid_scope" in caplog.text
    for secret in ("ada@", "Peeters", "evil.test", "the-nonce", "the-state", subject_of(Enrollment.objects.get())):
        assert secret not in caplog.text


def test_number_of_statements(signed_in: Client, begun: str, course: Course, tool: Tool) -> None:
    """Of the first start, of one begun, and of the second."""
    keys.public_keyset(now=timezone.now())
    button, again = button_of(signed_in, course), list[str]()
    counts = (
        count(lambda: ask(signed_in, asked_of(begun, tool))),
        count(lambda: again.append(press(signed_in, button))),
        count(lambda: ask(signed_in, asked_of(again[0], tool))),
    )
    assert counts == (21, 9, 16)


def count(work: Callable[[], object]) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)
