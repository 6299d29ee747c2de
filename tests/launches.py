"""Somebody who may start a course, and the way of a launch as a browser goes it, for the tests of launches."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.utils import timezone

from catalog.models import Course, Programme, Tool
from enrollment import card_checking
from enrollment.launch import addresses, keys
from enrollment.models import Enrollment, ProviderAccount
from libraries.models import User
from tests.enrollment.views.shelf_of_courses import make_course, offer_course
from tests.factories import make_librarian, make_library, make_member, make_programme, make_tool
from tests.lti_tool import LtiTool, Visit, query_of

FROM_HERE = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def programme(db: None) -> Programme:
    make_librarian(make_library().institution)
    return make_programme(name="Leren")


@pytest.fixture
def course(programme: Programme) -> Course:
    course = make_course()
    offer_course(programme, course)
    return course


@pytest.fixture
def tool(course: Course) -> Tool:
    return make_tool(course.provider)


@pytest.fixture
def ada(programme: Programme, course: Course) -> Enrollment:
    """Seated, with an account that the provider has opened."""
    return make_ready(programme)


@pytest.fixture
def signed_in(ada: Enrollment) -> Client:
    return at(ada)


def make_ready(programme: Programme, email: str = "ada@example.test") -> Enrollment:
    now = timezone.now()
    enrollment = make_member(email, programme=programme, now=now - timedelta(days=2))
    card_checking.confirm(card_id=enrollment.card_id, by=User.objects.get(email="lin@example.test"), now=now)
    ProviderAccount.objects.filter(user=enrollment.user).update(seen="active", seen_at=now, due_at=None)
    return Enrollment.objects.select_related("user", "pool__programme", "share").get(pk=enrollment.pk)


def at(enrollment: Enrollment) -> Client:
    client = Client()
    client.force_login(enrollment.user)
    return client


def subject_of(enrollment: Enrollment) -> str:
    return str(ProviderAccount.objects.get(user=enrollment.user).external_id)


def button_of(client: Client, course: Course, language: str = "en") -> str:
    """Where the button on the course's page leads."""
    prefix = "" if language == "nl" else f"/{language}"
    text = client.get(f"{prefix}/courses/{course.slug}/").content.decode()
    button = re.search(r'class="button" href="([^"]*/start/\?told=[^"]*)"', text)
    assert button is not None, text
    return html.unescape(button[1])


def begin(client: Client, course: Course, language: str = "en") -> str:
    """The button is pressed: where the browser is sent."""
    return press(client, button_of(client, course, language))


def press(client: Client, button: str) -> str:
    answer = client.get(button, headers=FROM_HERE)
    assert answer.status_code == 302, answer.content
    return answer["Location"]


def asked_of(address: str, tool: Tool, **changes: str | None) -> dict[str, str]:
    """What a tool asks with, once the browser came to it by this address; None leaves something out."""
    told = query_of(address)
    asked: dict[str, str | None] = {
        "scope": "openid",
        "response_type": "id_token",
        "response_mode": "form_post",
        "prompt": "none",
        "client_id": told["client_id"],
        "redirect_uri": tool.redirect_uris[0],
        "login_hint": told["login_hint"],
        "lti_message_hint": told["lti_message_hint"],
        "state": "the-state",
        "nonce": "the-nonce",
        **changes,
    }
    return {name: value for name, value in asked.items() if value is not None}


def ask(client: Client, asked: Mapping[str, str] | str) -> Any:
    query = asked if isinstance(asked, str) else urlencode(asked)
    return client.get(f"/{addresses.AUTHORIZATION}?{query}")


def posted_by(page: Any) -> tuple[str, dict[str, str]]:
    """Where a page makes the browser post, and what."""
    text = page.content.decode()
    form = re.search(r'<form method="post" action="([^"]*)" data-post>', text)
    assert form is not None, text
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', text)
    return html.unescape(form[1]), {name: html.unescape(value) for name, value in fields}


def side_of(tool: Tool) -> LtiTool:
    """What the tool was told when it was registered."""
    return LtiTool(
        issuer=addresses.issuer(),
        client_id=tool.client_id,
        deployment_id=tool.deployment_id,
        authorization=addresses.authorization(),
        token=addresses.token(),
        launch_url=tool.redirect_uris[0],
        keys=lambda: keys.public_keyset(now=timezone.now()),
    )


def launch(client: Client, course: Course, tool: Tool, language: str = "en") -> tuple[dict[str, str], Visit]:
    """All the way: what the browser posts to the tool in the end, and what the tool gave it to keep."""
    visit, side = Visit(), side_of(tool)
    address = side.login(query_of(begin(client, course, language)), visit)
    assert address.startswith(f"{addresses.authorization()}?")
    where, posted = posted_by(ask(client, address.partition("?")[2]))
    assert where == tool.redirect_uris[0]
    return posted, visit
