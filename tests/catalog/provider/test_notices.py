"""Notices are taken from who has the secret, within five minutes, and say what they have to. Signed by a peer."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import Webhook

from catalog.provider import notices
from catalog.provider.notices import Envelope, NotForUs, Notice, Stale, Unreadable, Unsigned

NOW = datetime(2025, 7, 3, 9, 30, tzinfo=UTC)
SECRET = "whsec_" + base64.b64encode(b"the provider's own, of 32 bytes.").decode()
OTHER = "whsec_" + base64.b64encode(b"somebody else's, also 32 bytes..").decode()
OURS = "0b3c1d4e-5f60-4718-8293-a4b5c6d7e8f9"
CLOSED = {"type": "account.closed", "timestamp": "2025-07-03T09:29:58Z", "data": {"id": "42", "externalId": OURS}}
PROGRESS = {
    "type": "progress",
    "timestamp": "2025-07-03T10:29:58+01:00",
    "data": {"id": "42", "externalId": OURS, "course": "ST-1001", "percent": 25},
}
BODY = json.dumps(CLOSED).encode()


def signed(body: bytes = BODY, *, secret: str = SECRET, at: datetime = NOW, number: str = "msg_1") -> Envelope:
    signature = Webhook(secret).sign(number, at, body.decode())
    return Envelope(number, str(int(at.timestamp())), signature)


def fits(envelope: Envelope, body: bytes = BODY, *, secret: str = SECRET, now: datetime = NOW) -> bool:
    try:
        notices.verify(envelope, body, secret=secret, now=now)
    except Unsigned:
        return False
    return True


# --- Signatures ---


def test_what_the_peer_signs_is_taken() -> None:
    assert fits(signed())


def test_example_of_the_scheme_is_taken() -> None:
    """From the specification's own library."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
    envelope = Envelope("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    assert fits(envelope, body, secret=secret, now=datetime.fromtimestamp(1614265330, UTC))


@pytest.mark.parametrize(
    "envelope",
    [
        signed(BODY + b" "),
        signed(secret=OTHER),
        Envelope("msg_2", signed().timestamp, signed().signature),
        Envelope("msg_1", str(int(NOW.timestamp()) + 1), signed().signature),
        Envelope("msg_1", signed().timestamp, ""),
        Envelope("msg_1", signed().timestamp, signed().signature.removeprefix("v1,")),
        Envelope("msg_1", signed().timestamp, signed().signature.replace("v1,", "v1a,")),
        Envelope("msg_1", signed().timestamp, signed().signature.replace("v1,", "v2,")),
        Envelope("msg_1", signed().timestamp, signed().signature[:-1]),
        Envelope("msg_1", signed().timestamp, "v1,"),
        Envelope("msg_1", signed().timestamp, "v1,ünïcode \x00 v1"),
        Envelope("", "", ""),
        Envelope("msg_é", signed().timestamp, signed().signature),
    ],
)
def test_what_was_not_signed_so_is_not_taken(envelope: Envelope) -> None:
    assert not fits(envelope)


def test_while_a_secret_is_replaced_both_are_taken() -> None:
    """The provider signs with both; or it changes from one to the other at once, and both are known here."""
    both = f"{signed(secret=OTHER).signature} v1a,AAAA {signed().signature}"
    assert fits(Envelope("msg_1", signed().timestamp, both))
    assert [fits(signed(secret=each), secret=f"{OTHER} {SECRET}") for each in (OTHER, SECRET)] == [True, True]


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_not!base64",
        "whsec_ünïcode",
        f"{SECRET} whsec_short",
    ],
)
def test_secret_that_is_none_opens_to_nobody(secret: str) -> None:
    assert notices.keys(secret) == []
    assert not fits(signed(), secret=secret)
    nobodys = "whsec_" + base64.b64encode(b"").decode()
    with pytest.raises(Unsigned):
        notices.verify(Envelope("1", signed().timestamp, "v1,"), b"", secret=nobodys, now=NOW)


@pytest.mark.parametrize(("seconds", "taken"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_signature_holds_for_five_minutes_either_way(seconds: int, taken: bool) -> None:
    envelope = signed(at=NOW + timedelta(seconds=seconds))
    if taken:
        notices.verify(envelope, BODY, secret=SECRET, now=NOW)
    else:
        with pytest.raises(Stale):
            notices.verify(envelope, BODY, secret=SECRET, now=NOW)


@pytest.mark.parametrize("timestamp", ["", "-1", "1e9", "١٧٦٤٤٠٨٦٠٠", "999999999999999", "NaN", "1764408600.0"])
def test_time_is_a_plain_number(timestamp: str) -> None:
    content = f"msg_1.{timestamp}.".encode("ascii", "replace") + BODY
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signature = "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    with pytest.raises(Stale):
        notices.verify(Envelope("msg_1", timestamp, signature), BODY, secret=SECRET, now=NOW)


def compared(monkeypatch: pytest.MonkeyPatch, envelope: Envelope, secret: str) -> list[bool]:
    """What each comparison in constant time said."""
    said: list[bool] = []

    def compare(first: bytes, second: bytes) -> bool:
        said.append(first == second)
        return said[-1]

    with monkeypatch.context() as patch:
        patch.setattr(hmac, "compare_digest", compare)
        fits(envelope, secret=secret)
    return said


def test_every_signature_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    many = " ".join([signed().signature, *(signed(secret=OTHER).signature,) * 3])
    said = compared(monkeypatch, Envelope("msg_1", signed().timestamp, many), SECRET)
    assert said == [True, *[False] * 7]


def test_comparison_alone_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "compare_digest", lambda first, second: False)
    assert not fits(signed())


@pytest.mark.parametrize("secret", ["", "whsec_short", SECRET, f"{SECRET} {OTHER}"])
def test_as_much_is_computed_without_a_secret(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    assert len(compared(monkeypatch, Envelope("1", "1", "v1,AAAA"), secret)) == 2
    assert len(compared(monkeypatch, Envelope("", "", ""), secret)) == 2


# --- What they say ---


def read(told: Any, *, number: str = "msg_1") -> Notice:
    return notices.read(number, told if isinstance(told, bytes) else json.dumps(told).encode(), now=NOW)


def changed(told: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {**told, "data": {**told["data"], **data}}


def test_notices_are_read() -> None:
    at = datetime(2025, 7, 3, 9, 29, 58, tzinfo=UTC)
    assert read(CLOSED) == Notice("msg_1", "account.closed", at, UUID(OURS), "42")
    assert read({**CLOSED, "type": "account.changed"}).kind == "account.changed"
    assert read(PROGRESS) == Notice("msg_1", "progress", at, UUID(OURS), "42", "ST-1001", 25)
    assert read(PROGRESS).occurred_at.tzinfo == UTC


def test_what_else_is_told_is_left_there() -> None:
    more = changed(CLOSED, email="ada@example.test", name="Ada", course="x" * 99, percent=700)
    assert read({**more, "note": "Ada Peeters"}) == read(CLOSED)


def test_one_id_is_enough() -> None:
    assert read(changed(CLOSED, id="")).external_id == read(changed(CLOSED, id=None)).external_id == UUID(OURS)
    assert read(changed(CLOSED, externalId=None)).remote_id == "42"


def test_numbers_are_ids_too_and_parts_of_percents_are_cut() -> None:
    assert read(changed(PROGRESS, id=42, course=7, percent=33.9)) == Notice(
        "msg_1", "progress", read(PROGRESS).occurred_at, UUID(OURS), "42", "7", 33
    )


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (b"", "json"),
        (b"\xff", "json"),
        (b"{", "json"),
        (b"[" * 60_000, "json"),
        (b'{"type": "progress", "x": NaN}', "json"),
        (b'{"type": 1' + b"0" * 5000 + b"}", "json"),
        (b"null", "body"),
        (b"[1]", "body"),
        ({}, "type"),
        ({**CLOSED, "type": 7}, "type"),
        ({**CLOSED, "type": None}, "type"),
        ({**CLOSED, "data": None}, "data"),
        ({**CLOSED, "data": []}, "data"),
        ({**CLOSED, "data": {}}, "id"),
        (changed(CLOSED, id="", externalId=""), "id"),
        (changed(CLOSED, id="a" * 201), "id"),
        (changed(CLOSED, id="ada@example.test"), "id"),
        (changed(CLOSED, id="a b"), "id"),
        (changed(CLOSED, id="a\x00"), "id"),
        (changed(CLOSED, id="\ud800"), "id"),
        (changed(CLOSED, id="42\n"), "id"),
        (changed(CLOSED, id=True), "id"),
        (changed(CLOSED, id=["42"]), "id"),
        (changed(CLOSED, externalId=7), "externalId"),
        (changed(CLOSED, externalId="x" * 201), "externalId"),
        ({**CLOSED, "timestamp": None}, "timestamp"),
        ({**CLOSED, "timestamp": 1764408598}, "timestamp"),
        ({**CLOSED, "timestamp": "yesterday"}, "timestamp"),
        ({**CLOSED, "timestamp": "2025-07-03"}, "timestamp"),
        ({**CLOSED, "timestamp": "2025-07-03T09:29:58"}, "timestamp"),
        ({**CLOSED, "timestamp": "2025-07-03T09:35:01Z"}, "timestamp"),
        ({**CLOSED, "timestamp": "9999-12-31T23:59:59-12:00"}, "timestamp"),
        ({**CLOSED, "timestamp": "0001-01-01T00:00:00+12:00"}, "timestamp"),
        (changed(PROGRESS, course=None), "course"),
        (changed(PROGRESS, course="x" * 51), "course"),
        (changed(PROGRESS, percent=None), "percent"),
        (changed(PROGRESS, percent="25"), "percent"),
        (changed(PROGRESS, percent=True), "percent"),
        (changed(PROGRESS, percent=-1), "percent"),
        (changed(PROGRESS, percent=100.5), "percent"),
    ],
)
def test_what_says_something_else_is_refused_with_a_code(told: Any, code: str) -> None:
    with pytest.raises(Unreadable) as refusal:
        read(told)
    assert str(refusal.value) == code


@pytest.mark.parametrize("number", ["", "a b", "ada@example.test", "m" * 101, "é"])
def test_number_of_a_notice_is_an_id(number: str) -> None:
    with pytest.raises(Unreadable, match="id of the notice"):
        read(CLOSED, number=number)


def test_type_that_nobody_knows_is_told_by_its_length_alone() -> None:
    with pytest.raises(NotForUs) as stranger:
        read({**CLOSED, "type": "ada@example.test"})
    assert str(stranger.value) == "type of 16 characters"


def test_account_that_is_not_ours_is_told_apart() -> None:
    with pytest.raises(NotForUs):
        read(changed(CLOSED, id="", externalId="jan.1"))
    assert read(changed(CLOSED, externalId="jan.1")) == Notice(
        "msg_1", "account.closed", read(CLOSED).occurred_at, None, "42"
    )
