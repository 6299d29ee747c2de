"""A course is started at a tool that runs on pylti1p3next: what it is told, and what it does not believe."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from django.utils import timezone
from jwt.algorithms import RSAAlgorithm
from pylti1p3.exception import LtiException

from catalog.models import Course, Programme, Tool
from enrollment.launch import addresses, keys
from enrollment.models import CourseRun, Enrollment, Event, Launch
from tests.launches import ask, asked_of, at, begin, launch, make_ready, posted_by, side_of, subject_of
from tests.lti_tool import Visit, query_of

LTI = "https://purl.imsglobal.org/spec/lti/claim/"


def test_tool_learns_who_starts_which_course(
    signed_in: Client, ada: Enrollment, course: Course, tool: Tool, programme: Programme
) -> None:
    posted, visit = launch(signed_in, course, tool, "fr")
    message = side_of(tool).message(posted, visit)
    claims: dict[str, Any] = dict(message.get_launch_data())
    lasts = claims.pop("exp") - claims["iat"]
    assert lasts == 300
    assert abs(claims.pop("iat") - timezone.now().timestamp()) < 60
    assert claims == {
        "iss": "http://testserver",
        "aud": tool.client_id,
        "sub": subject_of(ada),
        "nonce": claims["nonce"],
        f"{LTI}message_type": "LtiResourceLinkRequest",
        f"{LTI}version": "1.3.0",
        f"{LTI}deployment_id": "1",
        f"{LTI}target_link_uri": "https://tool.test/launch",
        f"{LTI}resource_link": {"id": f"course-{course.pk}", "title": "Spaans voor beginners"},
        f"{LTI}roles": ["http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"],
        f"{LTI}context": {"id": f"programme-{programme.pk}", "label": "leerkaart", "title": "Leren"},
        f"{LTI}launch_presentation": {
            "document_target": "window",
            "locale": "fr",
            "return_url": "http://testserver/fr/courses/spaans-voor-beginners/",
        },
        "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": {
            "scope": [
                "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly",
                "https://purl.imsglobal.org/spec/lti-ags/scope/score",
            ],
            "lineitem": addresses.line_item(course.pk),
        },
    }
    assert (message.is_resource_launch(), message.has_ags(), message.check_student_access()) == (True, True, True)


@pytest.mark.parametrize(
    ("tells", "told"),
    [
        ("pseudonym", {}),
        ("name", {"given_name": "Ada", "family_name": "Peeters", "name": "Ada Peeters", "locale": "nl"}),
        (
            "name_and_mail",
            {
                "given_name": "Ada",
                "family_name": "Peeters",
                "name": "Ada Peeters",
                "locale": "nl",
                "email": "ada@example.test",
            },
        ),
    ],
)
def test_tool_is_told_of_a_member_what_the_programme_says(
    signed_in: Client, course: Course, tool: Tool, tells: str, told: dict[str, str]
) -> None:
    Programme.objects.update(tells=tells)
    claims = side_of(tool).launch(*launch(signed_in, course, tool))
    personal = {"given_name", "family_name", "name", "email", "locale", "picture", "middle_name"}
    assert {name: value for name, value in claims.items() if name in personal} == told
    page = signed_in.get(f"/en/courses/{course.slug}/").content.decode()
    assert ("gets your name" in page, "your email address, a number" in page) == ("name" in told, "email" in told)


def test_course_has_an_address_and_parameters_of_its_own(signed_in: Client, course: Course, tool: Tool) -> None:
    Course.objects.update(launch_url="https://tool.test/spaans?v=2", launch_custom={"version": 7, "culture": "nl-BE"})
    assert query_of(begin(signed_in, course))["target_link_uri"] == "https://tool.test/spaans?v=2"
    claims = side_of(tool).launch(*launch(signed_in, course, tool))
    assert claims[f"{LTI}target_link_uri"] == "https://tool.test/spaans?v=2"
    assert claims[f"{LTI}custom"] == {"version": "7", "culture": "nl-BE"}


def test_addresses_hold_nothing_of_the_person(signed_in: Client, course: Course, tool: Tool, ada: Enrollment) -> None:
    Programme.objects.update(tells="name_and_mail")
    address = begin(signed_in, course)
    assert query_of(address) == {
        "iss": "http://testserver",
        "client_id": tool.client_id,
        "login_hint": subject_of(ada),
        "lti_message_hint": Launch.objects.get().pk.hex,
        "target_link_uri": "https://tool.test/launch",
        "lti_deployment_id": "1",
    }


def test_login_address_may_hold_parameters_already(signed_in: Client, course: Course, tool: Tool) -> None:
    Tool.objects.update(login_url="https://tool.test/login?tenant=7")
    assert begin(signed_in, course).startswith("https://tool.test/login?tenant=7&iss=http")


def test_granted_start_is_noted_once(signed_in: Client, ada: Enrollment, course: Course, tool: Tool) -> None:
    launch(signed_in, course, tool)
    run = CourseRun.objects.get(user=ada.user, course=course)
    first = run.started_at
    assert (run.enrollment, run.last_started_at, run.activity) == (ada, first, "Initialized")
    launch(signed_in, course, tool)
    run.refresh_from_db()
    assert first is not None
    assert run.last_started_at is not None
    assert (run.started_at, run.last_started_at > first) == (first, True)
    kinds = Event.objects.filter(enrollment_id=ada.pk, kind__in=["course_started", "started"])
    assert sorted(kinds.values_list("kind", "new_value")) == [("course_started", course.pk), ("started", None)]
    ada.refresh_from_db()
    assert ada.used_at == first


def test_saved_course_stays_saved(signed_in: Client, ada: Enrollment, course: Course, tool: Tool) -> None:
    saved = CourseRun.objects.create(user=ada.user, course=course, saved_at=timezone.now())
    launch(signed_in, course, tool)
    run = CourseRun.objects.get()
    assert (run.pk, run.saved_at, run.started_at is not None) == (saved.pk, saved.saved_at, True)


def test_start_only_begun_leaves_nothing(signed_in: Client, ada: Enrollment, course: Course, tool: Tool) -> None:
    begin(signed_in, course)
    ada.refresh_from_db()
    assert (CourseRun.objects.count(), Event.objects.filter(kind="course_started").count(), ada.used_at) == (0, 0, None)


# --- What the tool does not believe ---


@pytest.fixture
def answered(signed_in: Client, course: Course, tool: Tool) -> tuple[dict[str, str], Visit]:
    return launch(signed_in, course, tool)


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def with_secret(content: str, secret: bytes) -> str:
    """By hand: libraries refuse to."""
    made = hmac.new(secret, content.encode(), "sha256").digest()
    return f"{content}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


def believes(tool: Tool, posted: dict[str, str], visit: Visit) -> bool:
    try:
        return bool(side_of(tool).launch(posted, visit))
    except LtiException:
        return False


def part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def test_tool_refuses_tokens_that_are_not_ours(answered: tuple[dict[str, str], Visit], tool: Tool) -> None:
    posted, visit = answered
    header, body, signature = posted["id_token"].split(".")
    claims, kid = claims_of(posted["id_token"]), jwt.get_unverified_header(posted["id_token"])["kid"]
    public = RSAAlgorithm.from_jwk(side_of(tool).keys()["keys"][0])
    assert isinstance(public, RSAPublicKey)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = generate_private_key(public_exponent=65537, key_size=2048)
    wrong = {
        "another subject": f"{header}.{part(claims | {'sub': 'somebody-else'})}.{signature}",
        "no algorithm": f"{part({'alg': 'none', 'kid': kid})}.{body}.",
        "the public key as a secret": with_secret(f"{part({'alg': 'HS256', 'kid': kid})}.{body}", pem),
        "a stranger's key under our name": jwt.encode(claims, stranger, "RS256", headers={"kid": kid}),
        "an unknown key": jwt.encode(claims, stranger, "RS256", headers={"kid": "unknown"}),
    }
    believed = [name for name, token in wrong.items() if believes(tool, posted | {"id_token": token}, visit)]
    assert (believed, believes(tool, posted, visit)) == ([], True)


@pytest.mark.parametrize(
    "change",
    [
        {"exp": timedelta(minutes=-1)},
        {"iat": timedelta(minutes=10)},
        {"nonce": "of-somebody-else"},
        {"aud": "another-tool"},
        {f"{LTI}deployment_id": "2"},
        {f"{LTI}version": "1.1"},
    ],
    ids=lambda change: next(iter(change)).rsplit("/")[-1],
)
def test_tool_refuses_what_we_never_say(
    answered: tuple[dict[str, str], Visit], tool: Tool, change: dict[str, Any]
) -> None:
    posted, visit = answered
    now = timezone.now()
    moved = {k: int((now + v).timestamp()) if isinstance(v, timedelta) else v for k, v in change.items()}
    token = keys.sign(claims_of(posted["id_token"]) | moved, now=now)
    with pytest.raises(LtiException):
        side_of(tool).launch(posted | {"id_token": token}, visit)


def test_tool_refuses_an_answer_in_another_browser(answered: tuple[dict[str, str], Visit], tool: Tool) -> None:
    with pytest.raises(LtiException, match="State not found"):
        side_of(tool).launch(answered[0], Visit())


def test_two_members_are_two_subjects(signed_in: Client, programme: Programme, course: Course, tool: Tool) -> None:
    bo = make_ready(programme, "bo@example.test")
    mine = side_of(tool).launch(*launch(signed_in, course, tool))
    hers = side_of(tool).launch(*launch(at(bo), course, tool))
    assert hers["sub"] == subject_of(bo) != mine["sub"]


def test_old_token_is_believed_after_the_key_has_changed(answered: tuple[dict[str, str], Visit], tool: Tool) -> None:
    posted, visit = answered
    keys.rotate(now=timezone.now())
    assert side_of(tool).launch(posted, visit)["iss"] == "http://testserver"


def test_pages_of_an_answer_are_not_kept_and_lead_to_the_tool_alone(
    signed_in: Client, course: Course, tool: Tool
) -> None:
    page = ask(signed_in, asked_of(begin(signed_in, course), tool))
    policy = dict(part.strip().split(" ", 1) for part in page["Content-Security-Policy"].split(";"))
    assert policy["form-action"] == "'self' https://tool.test"
    assert policy["default-src"] == "'self'"
    assert "no-store" in page["Cache-Control"]
    assert posted_by(page)[0] == "https://tool.test/launch"


@pytest.mark.parametrize("host", ["player.test", "me;img-src@player.test"])
def test_page_of_an_answer_may_lead_to_the_course_on_another_host(
    signed_in: Client, course: Course, tool: Tool, host: str
) -> None:
    """The tool sends the browser on to where the course is."""
    Course.objects.update(launch_url=f"https://{host}/courses/7?from=portal")
    page = ask(signed_in, asked_of(begin(signed_in, course), tool))
    [policy] = [part for part in page["Content-Security-Policy"].split(";") if "form-action" in part]
    assert {"https://player.test", "https://tool.test"} <= set(policy.split())


def test_page_of_an_answer_is_in_the_language_it_began_in(signed_in: Client, course: Course, tool: Tool) -> None:
    """There is one address for all languages; without a start that is known, what the visitor chose counts."""
    asked = asked_of(begin(signed_in, course, "fr"), tool)
    signed_in.cookies["language"] = "en"
    assert '<html lang="en">' in ask(signed_in, asked | {"lti_message_hint": "unknown"}).content.decode()
    assert '<html lang="fr">' in ask(signed_in, asked).content.decode()
