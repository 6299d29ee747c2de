"""The sandbox's courses as an LTI 1.3 tool: started with tokens that a key of ours signed, as the portal will."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from jwt.algorithms import RSAAlgorithm

from portal.sandbox.course_tool_facts import CLIENT_ID, DATA, DEEP_LINKING, LAUNCH, NEW, titles
from tests.course_portal import (
    AGS,
    LTI,
    SUBJECT,
    Portal,
    Visitor,
    key_of,
    open_account,
    platform,
    portal,
    running_courses,
    signed,
    to_pick,
    visitor,
)

__all__ = ["platform", "portal", "visitor"]


def test_login_asks_the_portal_who_this_is(visitor: Visitor) -> None:
    answer = visitor.log_in(SUBJECT)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{visitor.portal.site}/lti/authorize?")
    asked = visitor.asks(SUBJECT)
    assert (asked["client_id"], asked["redirect_uri"]) == (CLIENT_ID, f"{visitor.tool}{LAUNCH}")
    assert (asked["login_hint"], asked["lti_message_hint"]) == (SUBJECT, "7")
    assert (asked["response_mode"], asked["prompt"]) == ("form_post", "none")


@pytest.mark.parametrize("more", [{"iss": "http://elsewhere"}, {"login_hint": ""}, {"iss": ""}])
def test_login_of_somebody_else_is_refused(visitor: Visitor, more: dict[str, str]) -> None:
    answer = visitor.log_in(SUBJECT, **more)
    assert (answer.status_code, "This start cannot be used." in answer.text) == (400, True)


def test_course_page_shows_what_it_was_told_and_no_more(visitor: Visitor) -> None:
    page = visitor.start(SUBJECT)
    assert page.status_code == 200
    assert "Wiskunde &lt;b&gt;&amp; meer&lt;/b&gt;" in page.text
    assert page.text.count("was not told") == 5
    assert f'href="{visitor.portal.site}/en/my/"' in page.text
    told = visitor.start(SUBJECT, name="Ada <i>Peeters</i>", email="ada@example.test").text
    assert told.count("was not told") == 3
    assert "Ada &lt;i&gt;Peeters&lt;/i&gt;" in told
    assert "<i>" not in told


def test_pages_bring_no_script_and_load_nothing_from_elsewhere(visitor: Visitor) -> None:
    page = visitor.start(SUBJECT)
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    assert "script" not in page.headers["Content-Security-Policy"]
    assert all(word not in page.text for word in ("<script", "style=", "src="))


def test_buttons_tell_the_portal_how_far_somebody_is(visitor: Visitor) -> None:
    page = visitor.start(SUBJECT)
    quarter = visitor.press(page, do="quarter")
    assert "You are at 25 %." in quarter.text
    assert "You are at 100 %." in visitor.press(page, do="done").text
    assert visitor.look(page.url.removeprefix(visitor.tool)).text.count("100 %") == 1
    first, second = visitor.portal.scores
    assert first.pop("timestamp") < second.pop("timestamp")
    assert first == {
        "userId": SUBJECT, "scoreGiven": 25, "scoreMaximum": 100,
        "activityProgress": "InProgress", "gradingProgress": "Pending",
    }  # fmt: skip
    assert second == {**first, "scoreGiven": 100, "activityProgress": "Completed", "gradingProgress": "FullyGraded"}


def test_token_is_asked_for_with_a_key_that_the_portal_can_check(visitor: Visitor) -> None:
    visitor.press(visitor.start(SUBJECT), do="quarter")
    [assertion], [key] = visitor.portal.assertions, visitor.keys()["keys"]
    assert set(key) == {"kty", "n", "e", "kid", "alg", "use"}
    assert jwt.get_unverified_header(assertion)["kid"] == key["kid"]
    public: Any = RSAAlgorithm.from_jwk(key)
    token = f"{visitor.portal.site}/lti/token"
    claims = jwt.decode(assertion, public, algorithms=["RS256"], audience=token)
    assert (claims["iss"], claims["sub"]) == (CLIENT_ID, CLIENT_ID)


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        ("/lti/token", (401, '{"error": "invalid_client"}'), "The portal gave no token."),
        ("/lti/token", (200, "[]"), "The portal&#x27;s answer makes no sense."),
        ("/lti/line-items/7/scores", (409, '{"error": "older"}'), "The portal did not take the score."),
        ("/lti/line-items/7/scores", (302, ""), "The portal could not be reached."),
    ],
)
def test_refusals_are_shown_and_nothing_is_noted(
    visitor: Visitor, path: str, answer: tuple[int, str], said: str
) -> None:
    page = visitor.start(SUBJECT)
    visitor.portal.answers[path] = answer
    refused = visitor.press(page, do="quarter")
    assert (refused.status_code, said in refused.text) == (502, True)
    assert "Nothing yet." in refused.text
    if answer[0] > 400:
        assert f"Status: {answer[0]}" in refused.text
        assert answer[1].replace('"', "&quot;") in refused.text


def test_who_is_forgotten_is_in_no_file_any_more(visitor: Visitor, tmp_path: Path) -> None:
    kept = tmp_path / "course_tool.json"
    page = visitor.start(SUBJECT, name="Ada Peeters")
    visitor.press(page, do="quarter")
    assert "Ada Peeters" in kept.read_text()
    gone = visitor.press(page, do="forget")
    assert (gone.status_code, "You are forgotten" in gone.text) == (200, True)
    assert json.loads(kept.read_text()) == {"starts": {}, "sessions": {}, "progress": {}}
    assert visitor.session.get(page.url, timeout=5).status_code == 404
    assert "Nothing yet." in visitor.start(SUBJECT).text


def test_course_goes_on_after_a_restart(portal: Portal, tmp_path: Path) -> None:
    with running_courses(tmp_path / "a", portal.site) as first:
        open_account(first, SUBJECT)
        before = Visitor(portal, first)
        page = before.start(SUBJECT)
        before.press(page, do="quarter")
        keys = before.keys()
    with running_courses(tmp_path / "a", portal.site) as second:
        after = Visitor(portal, second, before.session)
        again = after.look(page.url.removeprefix(before.tool))
        assert "You are at 25 %." in again.text
        assert "You are at 100 %." in after.press(again, do="done").text
        assert after.keys() == keys


@pytest.mark.parametrize("rubbish", [b"", b"\xff", b"[]", b'{"starts": 7}', b'{"other": {}}'])
def test_file_that_cannot_be_read_is_as_good_as_none(portal: Portal, tmp_path: Path, rubbish: bytes) -> None:
    (tmp_path / "course_tool.json").write_bytes(rubbish)
    with running_courses(tmp_path / "a", portal.site) as running:
        open_account(running, SUBJECT)
        assert Visitor(portal, running).start(SUBJECT).status_code == 200


def test_key_and_what_is_kept_are_for_their_owner_alone(visitor: Visitor, tmp_path: Path) -> None:
    visitor.start(SUBJECT)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("course_tool.pem", "course_tool.json")] == [0o600] * 2


# --- Starts that are none ---


def assembled(header: dict[str, str], claims: object, secret: bytes = b"") -> str:
    """Signed with HMAC, if at all, which no library makes of a public key."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    message = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return f"{message}.{part(hmac.digest(secret, message.encode(), 'sha256')) if secret else ''}"


def signed_with_the_public_key(claims: dict[str, Any]) -> str:
    public = key_of("one").public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return assembled({"alg": "HS256", "kid": "one"}, claims, pem)


BAD: dict[str, Callable[[dict[str, Any]], str]] = {
    "expired": lambda claims: signed({**claims, "iat": 1, "exp": int(time.time()) - 5}),
    "of the future": lambda claims: signed({**claims, "iat": int(time.time()) + 600, "exp": int(time.time()) + 900}),
    "without an end": lambda claims: signed({name: claims[name] for name in claims if name != "exp"}),
    "without a subject": lambda claims: signed({name: claims[name] for name in claims if name != "sub"}),
    "of another key": lambda claims: signed(claims, "two"),
    "of another key under this name": lambda claims: signed(claims, "two", kid="one"),
    "of another client": lambda claims: signed({**claims, "aud": "somebody-else"}),
    "of another portal": lambda claims: signed({**claims, "iss": "http://elsewhere"}),
    "of another deployment": lambda claims: signed({**claims, f"{LTI}deployment_id": "2"}),
    "of another nonce": lambda claims: signed({**claims, "nonce": "other"}),
    "of another kind": lambda claims: signed({**claims, f"{LTI}message_type": "Other"}),
    "unsigned": lambda claims: assembled({"alg": "none", "kid": "one"}, claims),
    "signed with the public key": signed_with_the_public_key,
    "a list": lambda _claims: assembled({"alg": "RS256", "kid": "one"}, []),
    "rubbish": lambda _claims: "a.b.c",
    "nothing": lambda _claims: "",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_token_starts_nothing(visitor: Visitor, name: str) -> None:
    asked = visitor.asks(SUBJECT)
    answer = visitor.launch(BAD[name](visitor.portal.claims(SUBJECT, asked["nonce"])), asked["state"])
    assert (answer.status_code, "This start cannot be used." in answer.text) == (403, True)
    assert "Set-Cookie" not in answer.headers


def test_start_is_good_once_and_in_its_own_browser(visitor: Visitor) -> None:
    asked = visitor.asks(SUBJECT)
    token = signed(visitor.portal.claims(SUBJECT, asked["nonce"]))
    other = Visitor(visitor.portal, visitor.platform)
    assert other.launch(token, asked["state"]).status_code == 403
    granted = visitor.launch(token, asked["state"])
    assert granted.status_code == 303
    assert visitor.launch(token, asked["state"]).status_code == 403
    assert visitor.launch(token, "other").status_code == 403
    assert other.look(granted.headers["Location"]).status_code == 404


def test_page_of_somebody_else_is_nobody_s(visitor: Visitor) -> None:
    mine = visitor.start(SUBJECT)
    open_account(visitor.platform, "another")
    other = Visitor(visitor.portal, visitor.platform)
    assert other.start("another").status_code == 200
    assert other.session.get(mine.url, timeout=5).status_code == 404
    assert other.press(mine, do="done").status_code == 404
    assert visitor.portal.scores == []


def test_only_who_has_an_open_account_gets_in(visitor: Visitor) -> None:
    open_account(visitor.platform, "closed", active=False)
    for subject in ("closed", "nobody", "<script>"):
        answer = visitor.start(subject)
        assert (answer.status_code, "You have no account here." in answer.text) == (403, True)
        assert "<script" not in answer.text


def test_whose_account_goes_is_shown_the_door(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.start(SUBJECT)
    visitor.platform.forget_all()
    assert visitor.press(page, do="done").status_code == 403
    assert visitor.portal.scores == []
    assert SUBJECT not in (tmp_path / "course_tool.json").read_text()


def test_keys_that_cannot_be_read_start_nothing(visitor: Visitor) -> None:
    for answer in ((500, "down"), (200, "[]"), (200, '{"keys": [{"kid": "one"}]}'), (302, "")):
        visitor.portal.answers["/lti/keys.json"] = answer
        assert visitor.start(SUBJECT).status_code == 403


def test_other_sites_press_no_buttons(visitor: Visitor) -> None:
    page = visitor.start(SUBJECT)
    elsewhere = {"Origin": visitor.portal.site}
    assert visitor.session.post(page.url, {"do": "done"}, headers=elsewhere, timeout=5).status_code == 403
    assert visitor.press(page, do="other").status_code == 400
    assert visitor.portal.scores == []


def test_return_address_elsewhere_is_not_followed(visitor: Visitor) -> None:
    for elsewhere in ("http://elsewhere/", "javascript:alert(1)", f"{visitor.portal.site}.elsewhere/"):
        page = visitor.start(SUBJECT, **{f"{LTI}launch_presentation": {"return_url": elsewhere}})
        assert f'<a href="{visitor.portal.site}">' in page.text


def test_other_addresses_say_where_courses_are_started(visitor: Visitor) -> None:
    assert visitor.look("/courses/ST-1001").status_code == 404
    assert visitor.session.post(f"{visitor.tool}/courses/", {}, timeout=5).status_code == 405
    assert visitor.session.post(f"{visitor.tool}{LAUNCH}", b"\xff\xfe=%zz", timeout=5).status_code == 403


def test_start_without_a_line_item_tells_nothing(visitor: Visitor) -> None:
    page = visitor.start(SUBJECT, **{AGS: {"scope": []}})
    assert visitor.press(page, do="quarter").status_code == 502


# --- Picking courses ---


def test_login_to_pick_courses_ends_where_they_are_picked(visitor: Visitor) -> None:
    asked = visitor.asks("staff-1", target_link_uri=f"{visitor.tool}{DEEP_LINKING}")
    assert asked["redirect_uri"] == f"{visitor.tool}{DEEP_LINKING}"


def test_picked_courses_go_to_the_portal_signed(visitor: Visitor) -> None:
    page = to_pick(visitor)
    assert page.text.count('type="checkbox"') == len(titles()) > 30
    assert "Pick a course first." in visitor.press(page, course=["other"]).text
    sent = visitor.press(page, course=["ST-1001", "ST-2001", "ST-1001"])
    assert f"form-action {visitor.portal.site} 'self'" in sent.headers["Content-Security-Policy"]
    assert f'action="{visitor.portal.site}/lti/picked"' in sent.text
    token = sent.text.split('name="JWT" value="')[1].split('"')[0]
    public: Any = RSAAlgorithm.from_jwk(visitor.keys()["keys"][0])
    claims = jwt.decode(token, public, algorithms=["RS256"], audience=visitor.portal.site)
    assert (claims["iss"], claims["https://purl.imsglobal.org/spec/lti-dl/claim/data"]) == (CLIENT_ID, "opaque")
    items = claims["https://purl.imsglobal.org/spec/lti-dl/claim/content_items"]
    assert [item["custom"] for item in items] == [{"course": "ST-1001"}, {"course": "ST-2001"}]
    assert items[0]["title"] == titles()["ST-1001"]


def test_nothing_can_be_picked(visitor: Visitor) -> None:
    sent = visitor.press(to_pick(visitor), do="nothing", course="ST-1001").text
    claims = jwt.decode(sent.split('name="JWT" value="')[1].split('"')[0], options={"verify_signature": False})
    assert claims["https://purl.imsglobal.org/spec/lti-dl/claim/content_items"] == []


def test_some_courses_are_new_to_the_portal() -> None:
    assert not [code for code in NEW if code in DATA.read_text(encoding="utf-8")]
    assert set(NEW) < set(titles())


def test_one_course_where_the_portal_wants_one(visitor: Visitor) -> None:
    page = to_pick(visitor, accept_multiple=False)
    assert "checkbox" not in page.text
    assert visitor.press(page, course=["ST-1001", "ST-2001"]).text.count("<li>") == 1


def test_picked_courses_go_nowhere_else(visitor: Visitor) -> None:
    page = to_pick(visitor, deep_link_return_url="http://elsewhere/")
    answer = visitor.press(page, course="ST-1001")
    assert (answer.status_code, "JWT" in answer.text) == (403, False)
