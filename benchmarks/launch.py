"""A course is started by LTI 1.3: our time for the start and for the answer to the tool, over HTTP, 1 and 8 at once."""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

from benchmarks.stage import Stage, milliseconds, report

if TYPE_CHECKING:
    from benchmarks.rows import Member

AT_ONCE, MEMBERS = (1, 8), 200
# For 95 of 100, the two together.
PROMISED = 50.0
TOOL = "https://tool.example/launch"


@dataclass(frozen=True)
class Took:
    start: float
    answer: float


def main(stage: Stage) -> None:
    from benchmarks import rows

    rows.make_libraries()
    pool = rows.make_pool("open", cap=1_000_000)
    rows.make_tool(pool, address=TOOL)
    members = rows.make_seated(pool, MEMBERS * len(AT_ONCE) + 20)
    with stage.web() as address:
        buttons = _buttons()
        _start_each(address, members[:20], buttons, at_once=2)  # first of all the key is made
        for number, at_once in enumerate(AT_ONCE):
            first = 20 + number * MEMBERS
            _report(at_once, _start_each(address, members[first : first + MEMBERS], buttons, at_once=at_once))


def _buttons() -> dict[str, str]:
    """Where the button leads that each member, by address, has on the page of the course."""
    from catalog.models import Course
    from enrollment.reports.course_start import signer
    from libraries.models import User

    course = Course.objects.get(slug="measured")
    people = User.objects.values_list("email", "pk")
    return {email: f"/courses/measured/start/?told={signer(pk, course.pk).sign('pseudonym')}" for email, pk in people}


def _report(at_once: int, took: Sequence[Took]) -> None:
    both = {
        "start": [each.start for each in took],
        "answer": [each.answer for each in took],
        "both": [each.start + each.answer for each in took],
    }
    for name, times in both.items():
        percentiles = quantiles(times, n=100)
        for percent in (50, 95):
            value = percentiles[percent - 1]
            report(f"launch_{name}_{at_once}_p{percent}", value, "ms", PROMISED / value)


def _start_each(
    address: tuple[str, int], members: Sequence[Member], buttons: Mapping[str, str], *, at_once: int
) -> list[Took]:
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(lambda member: _start(address, member, buttons[member.email]), members))


def _start(address: tuple[str, int], member: Member, button: str) -> Took:
    connection = http.client.HTTPConnection(*address)
    connection.connect()
    try:
        told: dict[str, str] = {}
        start = milliseconds(lambda: told.update(_begin(connection, member, button)))
        return Took(start, milliseconds(lambda: _ask(connection, member, told)))
    finally:
        connection.close()


def _begin(connection: http.client.HTTPConnection, member: Member, button: str) -> dict[str, str]:
    answer, _content = _get(connection, button, member)
    assert answer.status == 302, answer.status
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    return {name: query[name][0] for name in ("client_id", "login_hint", "lti_message_hint")}


def _ask(connection: http.client.HTTPConnection, member: Member, told: dict[str, str]) -> None:
    asked = {"scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none"}
    asked |= {"redirect_uri": TOOL, "state": "state", "nonce": "nonce"} | told
    _answer, content = _get(connection, f"/lti/authorize?{urlencode(asked)}", member)
    assert b'name="id_token"' in content, content


def _get(connection: http.client.HTTPConnection, path: str, member: Member) -> tuple[http.client.HTTPResponse, bytes]:
    headers = {"Cookie": f"session={member.session}", "Sec-Fetch-Site": "same-origin"}
    connection.request("GET", path, headers=headers | {"X-Forwarded-For": member.address})
    answer = connection.getresponse()
    return answer, answer.read()
