"""What an operator reads of a provider's answer: enough to mend it, and nothing about anybody."""

from __future__ import annotations

import base64
import html
import json
import random
import time
import unicodedata
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus

import pytest

from catalog.provider.client import Connection, Person
from catalog.provider.errors import ProviderError, RateLimited
from catalog.provider.exchange import new_session
from catalog.provider.moodle import MoodleClient
from catalog.provider.redaction import LONGEST, told
from catalog.provider.scim import ScimClient
from tests.catalog.provider.odd_server import odd_server, saying

TOKEN = "Zk4-secret.token_99"
PERSON = ("3f0c9a1e-77aa-4b1c-9d2e-0123456789ab", "chloé.d'hondt+x@example.be", "Chloé-Lou", "D'Hondt van Peeters")
CANARIES = (TOKEN, *PERSON, "Chloé", "Chloe", "Hondt", "Peeters", "0123456789ab", "chloé.d'hondt+x")


def shown(content: bytes, content_type: str = "application/json", status: int = 400, **headers: str) -> str:
    named: Mapping[str, str] = {"Content-Type": content_type, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return told("POST /Users", status, named, content, secret=TOKEN, about=PERSON)


def test_error_document_of_scim_is_shown() -> None:
    document = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
        "status": "409",
        "scimType": "uniqueness",
        "detail": f"User with userName {PERSON[1]} exists already, as 12345678",
    }
    assert shown(json.dumps(document).encode(), "application/scim+json", 409) == (
        "POST /Users → 409\n"
        "Content-Type: application/scim+json\n"
        '{"status": "409", "scimType": "uniqueness", "detail": "User with userName … exists already, as …", "…": "…"}'
    )


def test_exception_of_moodle_is_shown() -> None:
    document = {
        "exception": "invalid_parameter_exception",
        "errorcode": "invalidparameter",
        "message": "Invalid parameter value detected (Username already exists: someone.else@example.org)",
    }
    (*_, last) = shown(json.dumps(document).encode()).splitlines()
    assert json.loads(last) == {
        **document,
        "message": "Invalid parameter value detected (Username already exists: …)",
    }


def test_members_of_other_documents_are_not_shown_nor_named() -> None:
    account = {"id": "r1", "userName": "zoe", "Zoë": 1, "emails": [{"value": "x"}], "name": {"familyName": "Maes"}}
    assert shown(json.dumps(account).encode()).splitlines()[-1] == '{"…": "…"}'
    listed = {"totalResults": 2, "Resources": [account, account]}
    assert shown(json.dumps(listed).encode()).splitlines()[-1] == '{"totalResults": 2, "…": "…"}'
    assert shown(json.dumps([account]).encode()).splitlines()[-1] == '[{"…": "…"}]'


@pytest.mark.parametrize("cut", [b'{"id": "r1", "userName": "zoe', b'Notice: x [{"id": 7, "firstname": "Zoe"}]'])
def test_document_that_is_broken_or_stands_behind_words_is_not_shown(cut: bytes) -> None:
    assert "zoe" not in shown(cut).lower()


def test_of_a_page_its_text_is_shown() -> None:
    page = (
        "<!DOCTYPE html><html><head><title>Oops</title><style>b{color:red}</style></head><body><h1>Down &amp; out</h1>"
    )
    page += '<script>var user = "Zoe";</script><a href="/users/zoe">Chlo&eacute;-Lou</a> try again</body></html>'
    assert shown(page.encode(), "text/html; charset=utf-8", 502).splitlines()[-1] == "Oops Down & out … try again"


def test_harmless_headers_are_shown_and_no_others() -> None:
    text = shown(
        b"", "text/plain", 302, Location="https://login.example.be:444/u/zoe?x=1", Retry_After="30", Set_Cookie="a=b"
    )
    assert text.splitlines()[1:] == [
        "Content-Type: text/plain",
        "Retry-After: 30",
        "Location: https://login.example.be",
    ]


WAYS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "upper": str.upper,
    "lower": str.lower,
    "decomposed": lambda value: unicodedata.normalize("NFD", value),
    "without accents": lambda value: "".join(
        c for c in unicodedata.normalize("NFD", value) if not unicodedata.combining(c)
    ),
    "in an address": lambda value: f"https://x.be/?q={quote(value, safe='')}&y=1",
    "in a form": quote_plus,
    "html": html.escape,
    "json": lambda value: json.dumps(value)[1:-1],
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["detail", "html", "text"])
def test_known_values_are_hidden_however_they_are_written(way: str, kind: str) -> None:
    for value in (TOKEN, *PERSON, "Peeters"):
        written = WAYS[way](value)
        text = f"Not allowed: {written}, said we."
        content = {"detail": json.dumps({"detail": text}), "html": f"<p>{text}</p>", "text": text}[kind]
        seen = shown(content.encode(), {"detail": "application/json", "html": "text/html"}.get(kind, "text/plain"))
        assert (written.lower() in seen.lower(), seen.count("…") > 0, "said we" in seen) == (False, True, True)


STRANGERS = (
    "zoe.maes@example.org",
    "zoe%40example.org",
    "21990001",
    "+32 475 12 34 56",
    "2199 0001 0002",
    "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "6F9619FF8B86D011B42D00C04FC964FF",
    "0cc175b9c0f1b6a831c399e269772661",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "Bearer abc",
    "AKIAIOSFODNN7EXAMPLE",
)


@pytest.mark.parametrize("canary", STRANGERS)
def test_what_looks_like_data_of_anybody_is_hidden(canary: str) -> None:
    for content in (json.dumps({"message": f"Sorry, {canary} failed."}), f"Sorry, {canary} failed."):
        seen = shown(content.encode())
        assert (canary in seen, "Sorry" in seen, "failed" in seen) == (False, True, True)


@pytest.mark.parametrize("seed", range(40))
def test_nothing_of_the_person_is_left_in_whatever_is_answered(seed: int) -> None:
    """Bodies of all shapes, put together at random; the seed says which."""
    dice = random.Random(seed)
    for _ in range(25):
        content, canaries = _body(dice)
        seen = shown(content, dice.choice(["application/json", "text/html", "text/plain", "application/x"]))
        found = [canary for canary in canaries if canary.lower() in seen.lower()]
        assert (found, len(seen) <= LONGEST) == ([], True), (seed, content)


def _body(dice: random.Random) -> tuple[bytes, tuple[str, ...]]:
    values = [*CANARIES, *STRANGERS]
    words = ["Error", "while", "saving", "(limit)", "=>", "'", '"', "\n", "\x00", "{", "}", "[", "é", "<b>", "&nbsp;"]
    pieces = [dice.choice(words) for _ in range(dice.randint(0, 60))]
    pieces += [WAYS[dice.choice(["as it is", "upper", "lower"])](dice.choice(values)) for _ in range(6)]
    dice.shuffle(pieces)
    text = " ".join(pieces)
    shape = dice.randrange(5)
    if shape == 0:
        text = json.dumps({"detail": text, "userName": dice.choice(values), dice.choice(values): 1})
    elif shape == 1:
        text = json.dumps({"warnings": [{"message": text, "itemid": 7, "name": dice.choice(values)}] * 9})
    elif shape == 2:
        text = f"<html><title>{text}</title><body>{text}</body></html>"
    elif shape == 3:
        text = json.dumps([[{"message": text}, dice.choice(values)]])
    content = text.encode()
    # A value that is cut off in its middle by the provider itself is not what is looked for here.
    return content, tuple(CANARIES) + STRANGERS


@pytest.mark.parametrize(
    "evil",
    [b"a" * 900_000, b"a@" * 450_000, b"1 " * 450_000, b"<" * 900_000, b"<script>" * 100_000, b"[" * 900_000]
    + [b'{"' * 400_000, b"&#" * 400_000, b"bearer " * 100_000, b"-1a" * 300_000, b"\xff" * 900_000],
    ids=lambda evil: repr(evil[:8]),
)
def test_answer_of_any_kind_is_read_in_no_time(evil: bytes) -> None:
    began = time.process_time()
    assert len(shown(evil)) <= LONGEST
    assert time.process_time() - began < 2


# --- Where the answers come from ---


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "409 Conflict", "412 Stale", "429 Slow", "500 Oops", "200 OK"])
@pytest.mark.parametrize("client", [ScimClient, MoodleClient])
def test_errors_carry_the_answer_and_show_it_nowhere(
    status: str, client: type[ScimClient] | type[MoodleClient], caplog: pytest.LogCaptureFixture
) -> None:
    person = Person(PERSON[0], PERSON[1], PERSON[2], PERSON[3], "nl")
    body = f"Zebra {PERSON[1]} {PERSON[3]} {TOKEN}".encode()
    caplog.set_level("DEBUG")
    with odd_server(saying(status, body, "Content-Type: text/plain")) as odd, pytest.raises(ProviderError) as error:
        client(Connection(odd.base_url, TOKEN, 5.0, 5.0, 15.0), new_session()).create(person)
    answer = error.value.answer
    assert ("Zebra" in answer, f"→ {status[:3]}" in answer) == (True, True)
    assert [canary for canary in CANARIES if canary in answer] == []
    told_elsewhere = f"{error.value} {error.value!r} {error.value.args} {caplog.text}"
    assert ("Zebra" in told_elsewhere, TOKEN in told_elsewhere) == (False, False)
    assert (error.value.__cause__, error.value.__context__) == (None, None)


def test_rate_limit_carries_the_answer_too() -> None:
    assert RateLimited(3.0, answer="x").answer == "x"
