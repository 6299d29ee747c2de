"""Where a provider tells something: taken when it is signed, written down once, and nothing is told to anybody else."""

from __future__ import annotations

import hmac
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import InterfaceError, OperationalError, connection, connections
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from standardwebhooks import Webhook

from catalog.models import Provider
from enrollment.models import ProviderNotice
from enrollment.views import notices
from tests.canaries import Watch, watching
from tests.catalog.provider.test_notices import CLOSED, OTHER, OURS, PROGRESS, SECRET
from tests.factories import make_provider

pytestmark = pytest.mark.django_db

ADDRESS = "/hooks/skillstown/"
OLD = timedelta(minutes=5, seconds=2)
Rung = list[str]


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> Rung:
    """How often the workers were rung for; the provider is there, with its secret."""
    rings: Rung = []
    monkeypatch.setattr("enrollment.tasks.ring_for_notices", lambda: rings.append("ring"))
    monkeypatch.setenv("SKILLSTOWN_NOTICES", SECRET)
    make_provider(webhook_secret_name="SKILLSTOWN_NOTICES")
    return rings


def headers(body: str, *, number: str = "msg_1", secret: str = SECRET, age: timedelta = timedelta(0)) -> dict[str, str]:
    at = timezone.now() - age
    stamp, signature = str(int(at.timestamp())), Webhook(secret).sign(number, at, body)
    return {"webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": signature}


def send(told: Any = CLOSED, *, address: str = ADDRESS, client: Client | None = None, **signing: Any) -> HttpResponse:
    body = told if isinstance(told, str) else json.dumps(told)
    return post(body, headers(body, **signing), address=address, client=client)


def post(body: str, given: dict[str, str], *, address: str = ADDRESS, client: Client | None = None) -> HttpResponse:
    client = client or Client(enforce_csrf_checks=True, raise_request_exception=False)
    answer: Any = client.post(address, body, content_type="application/json", headers=given)
    assert isinstance(answer, HttpResponse)
    return answer


def test_notice_is_written_down_and_the_workers_are_rung(rung: Rung) -> None:
    before = timezone.now()
    answer = send(PROGRESS)
    assert (answer.status_code, answer.content, rung) == (202, b"Accepted\n", ["ring"])
    notice = ProviderNotice.objects.get()
    assert (notice.notice_id, notice.kind, notice.external_id, notice.remote_id) == (
        "msg_1",
        "progress",
        UUID(OURS),
        "42",
    )
    assert (notice.course_code, notice.percent, notice.outcome) == ("ST-1001", 25, "")
    assert notice.occurred_at == datetime.fromisoformat(str(PROGRESS["timestamp"]))
    assert notice.due_at == notice.received_at
    assert before <= notice.received_at <= timezone.now()


def test_same_notice_again_is_taken_and_written_down_once() -> None:
    assert [send().status_code for _ in range(3)] == [202, 202, 202]
    assert ProviderNotice.objects.count() == 1


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_50_deliveries_at_once_are_one_notice() -> None:
    def deliver(_each: int) -> int:
        try:
            return send().status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as many:
        assert set(many.map(deliver, range(50))) == {202}
    assert ProviderNotice.objects.count() == 1


def test_answer_sets_no_cookie_and_is_kept_nowhere() -> None:
    for answer in (send(), send(secret=OTHER), Client().get(ADDRESS), send("{", number="msg_2")):
        assert not answer.cookies
        assert "no-store" in answer["Cache-Control"]
        assert "Cookie" not in answer.get("Vary", "")
        assert answer.get("Content-Type", "text/plain").startswith(("text/plain", "text/html"))


# --- Refused ---


def no_name(patch: pytest.MonkeyPatch) -> HttpResponse:
    Provider.objects.update(webhook_secret_name="")
    return send()


def no_value(patch: pytest.MonkeyPatch) -> HttpResponse:
    patch.delenv("SKILLSTOWN_NOTICES")
    return send()


def bad_value(patch: pytest.MonkeyPatch) -> HttpResponse:
    patch.setenv("SKILLSTOWN_NOTICES", "whsec_short")
    return send()


def the_portals(patch: pytest.MonkeyPatch) -> HttpResponse:
    patch.setenv("SECRET_KEY", SECRET)
    Provider.objects.update(webhook_secret_name="SECRET_KEY")
    return send()


Refusal = Callable[[pytest.MonkeyPatch], HttpResponse]
REFUSALS: dict[str, Refusal] = {
    "wrong secret": lambda patch: send(secret=OTHER),
    "another body": lambda patch: post(json.dumps(CLOSED) + " ", headers(json.dumps(CLOSED))),
    "nothing": lambda patch: post("", {}),
    "unsigned": lambda patch: post(json.dumps(CLOSED), {}),
    "too old": lambda patch: send(age=OLD),
    "from the future": lambda patch: send(age=-OLD),
    "unknown provider": lambda patch: send(address="/hooks/nobody/"),
    "no secret's name": no_name,
    "no secret": no_value,
    "bad secret": bad_value,
    "a secret of the portal": the_portals,
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_cannot_be_told_apart(name: str, monkeypatch: pytest.MonkeyPatch, rung: Rung) -> None:
    """The same answer, after the same work: so many queries, so many comparisons."""
    compared: list[bytes] = []
    real = hmac.compare_digest

    def compare(first: bytes, second: bytes) -> bool:
        compared.append(first)
        return real(first, second)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    with CaptureQueriesContext(connection) as queries:
        answer = REFUSALS[name](monkeypatch)
    asked = [query["sql"].split()[0] for query in queries if "UPDATE" not in query["sql"][:6]]
    assert (answer.status_code, answer.content) == (401, b"Unauthorized\n")
    assert answer["WWW-Authenticate"] == "Webhook-Signature"
    assert (len(compared), asked) == (2, ["SELECT", "INSERT"])
    assert (ProviderNotice.objects.count(), rung) == (0, [])


def test_secrets_are_replaced_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(CLOSED)
    old, new = headers(body, secret=SECRET), headers(body, secret=OTHER)
    both = old | {"webhook-signature": f"{old['webhook-signature']} {new['webhook-signature']}"}
    for secret in (SECRET, OTHER):
        monkeypatch.setenv("SKILLSTOWN_NOTICES", secret)
        assert post(body, both).status_code == 202


@pytest.mark.parametrize("method", ["get", "head", "put", "patch", "delete", "options"])
@pytest.mark.parametrize("address", [ADDRESS, "/hooks/nobody/"])
def test_only_posts_are_answered(method: str, address: str) -> None:
    assert getattr(Client(), method)(address).status_code == 405


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ({**CLOSED, "data": {"id": "ada@example.test"}}, 400),
        ({**CLOSED, "type": "account.renamed"}, 202),
        ({**CLOSED, "data": {"externalId": "jan.1"}}, 202),
    ],
)
def test_what_is_signed_and_makes_no_sense_is_not_written_down(told: Any, status: int, rung: Rung) -> None:
    answer = send(told)
    assert (answer.status_code, ProviderNotice.objects.count(), rung) == (status, 0, [])


def test_number_that_is_no_id_is_not_written_down() -> None:
    assert send(number="Ada Peeters").status_code == 400
    assert ProviderNotice.objects.count() == 0


@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 202), (64 * 1024 + 1, 413)])
def test_notice_is_no_larger_than_64_kilobytes(size: int, status: int) -> None:
    body = json.dumps(CLOSED)
    assert send(body + " " * (size - len(body))).status_code == status


class Unread(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise AssertionError("it was read")


class Broken(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        raise OSError("the line broke")


@pytest.mark.parametrize("length", [str(64 * 1024 + 1), "1" + "0" * 30, "9" * 5000, "-1", "many"])
def test_what_is_too_large_is_not_read(length: str) -> None:
    extra: dict[str, Any] = {"CONTENT_LENGTH": length, "wsgi.input": Unread()}
    answer: Any = Client().post(ADDRESS, "", content_type="application/json", **extra)
    assert answer.status_code == 413


def test_whoever_does_not_say_how_much_comes_is_asked_to() -> None:
    """Nothing of it is read, so that its signature would never fit."""
    extra: dict[str, Any] = {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Unread()}
    answer: Any = Client().post(ADDRESS, "", content_type="application/json", **extra)
    assert answer.status_code == 411


def test_line_that_breaks_is_nobodys_error() -> None:
    extra: dict[str, Any] = {"CONTENT_LENGTH": "10", "wsgi.input": Broken()}
    assert Client().post(ADDRESS, "", content_type="application/json", **extra).status_code == 400


def test_who_sends_unsigned_ones_without_end_is_told_to_wait_and_the_provider_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notices, "MOST_UNSIGNED", 2)
    answers = [send(secret=OTHER), send(age=OLD), send(address="/hooks/nobody/"), send(secret=OTHER)]
    assert [answer.status_code for answer in answers] == [401, 401, 429, 429]
    assert answers[-1]["Retry-After"] == "3600"
    assert send().status_code == 202


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("at", ["catalog.models.Provider.objects.filter", "enrollment.noticing.store"])
def test_database_that_is_away_is_told_so_that_it_is_sent_again(
    at: str, error: type[Exception], monkeypatch: pytest.MonkeyPatch, rung: Rung
) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise error("connection to 10.0.0.7 failed for Ada")

    monkeypatch.setattr(at, fail)
    answer = send()
    assert (answer.status_code, answer.content) == (503, b"Service Unavailable\n")
    assert (answer["Retry-After"], rung) == ("60", [])


# --- Nothing is repeated ---

CANARIES = ("zeldzaam", "kanarie", "Peeters", "whsec_", "v1,")


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture, settings: LazySettings) -> Iterator[Watch]:
    with watching(caplog, settings) as found:
        yield found


def canaried(**changes: Any) -> dict[str, Any]:
    data = {**CLOSED["data"], "email": "zeldzaam@example.test", "name": "kanarie Peeters"}  # type: ignore[dict-item]
    return {**CLOSED, "data": data, "note": "kanarie", **changes}


def test_nothing_of_what_is_sent_is_found_anywhere(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_named: object) -> None:
        raise RuntimeError("what no code has foreseen")

    sent = [
        send(canaried()),
        send(canaried(type="kanarie.zeldzaam"), number="msg_2"),
        send(canaried(type=["kanarie"]), number="msg_3"),
        send(canaried(data={"id": "zeldzaam@example.test"}), number="msg_4"),
        send('{"kanarie": ', number="msg_5"),
        send(canaried(), number="zeldzaam Peeters"),
        send(canaried(), secret=OTHER, number="kanarie"),
        post("kanarie", {"webhook-id": "kanarie", "webhook-timestamp": "kanarie", "webhook-signature": "v1,kanarie"}),
    ]
    monkeypatch.setattr("enrollment.noticing.store", fail)
    sent.append(send(canaried(), number="msg_6"))
    watch.pages += [answer.content.decode() for answer in sent]
    assert [answer.status_code for answer in sent] == [202, 202, 400, 400, 400, 400, 401, 401, 500]
    assert watch.found(CANARIES) == []
    assert set(watch.reports()) == {"[Django] ERROR (EXTERNAL IP): Internal Server Error: /hooks/skillstown/"}


def test_search_would_find_what_is_repeated(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def repeat(**named: Any) -> None:
        raise RuntimeError("kanarie")

    monkeypatch.setattr("enrollment.noticing.store", repeat)
    send(canaried())
    assert "log: kanarie" in watch.found(CANARIES)


# --- The example of the documentation ---


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
@pytest.mark.django_db(transaction=True)
def test_example_for_operators_is_taken(live_server: LiveServer) -> None:
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    [example] = [block for block in re.findall(r"```sh\n(.*?)```", text, re.S) if "webhook-signature" in block]
    example = re.sub(r"(?m)^secret=.*$", f"secret={SECRET}", example)
    example = re.sub(r"site=\S+", f"site={live_server.url}", example)
    said = subprocess.run(["sh", "-c", example], capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout.startswith("HTTP/1.1 202 Accepted")
    assert ProviderNotice.objects.get().remote_id == "test"
