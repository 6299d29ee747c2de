"""What a newcomer follows in the demo, and what must not exist anywhere else."""

from __future__ import annotations

import mailbox
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path

import pytest
from allauth.mfa.totp.internal.auth import validate_totp_code
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from portal.sandbox.accounts import DEMO_ACCOUNTS, DEMO_CARDS
from portal.sandbox.library_cards import CARDS, TO_TRY, Condition, cards_of
from portal.sandbox.library_faults import FaultFile, Kind

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.django_db


@pytest.fixture
def box(settings: LazySettings, tmp_path: Path) -> mailbox.Maildir:
    settings.SANDBOX_MAIL = tmp_path / "mail"
    return mailbox.Maildir(settings.SANDBOX_MAIL)


def deliver(box: mailbox.Maildir, to: str, subject: str, text: str = "Je code: 1234", html: str = "") -> None:
    message = EmailMessage()
    message["To"], message["Subject"] = to, subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    box.add(message.as_bytes())


def test_mail_json_is_newest_first_and_knows_one_address(box: mailbox.Maildir, client: Client) -> None:
    deliver(box, "ada@example.test", "Eerst")
    deliver(box, "bo@example.test", "Dan")
    deliver(box, "ada@example.test", "Laatst", text="Dag Zoë")
    every = client.get("/sandbox/mail.json").json()
    assert [(mail["to"], mail["subject"]) for mail in every] == [
        ("ada@example.test", "Laatst"),
        ("bo@example.test", "Dan"),
        ("ada@example.test", "Eerst"),
    ]
    assert every[0]["text"] == "Dag Zoë\n"
    to_ada = client.get("/sandbox/mail.json", {"to": "ADA@example.test"}).json()
    assert [mail["subject"] for mail in to_ada] == ["Laatst", "Eerst"]


def test_mail_json_of_no_mail_is_empty(settings: LazySettings, client: Client, tmp_path: Path) -> None:
    settings.SANDBOX_MAIL = tmp_path / "nowhere"
    answer = client.get("/sandbox/mail.json", headers={"accept-language": "fr"})
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("prefix", ["", "/fr", "/en"])
def test_pages_answer_in_each_language(prefix: str, box: mailbox.Maildir, client: Client) -> None:
    deliver(box, "ada@example.test", "<b>Hoi</b>", text="Ga naar http://127.0.0.1/x <script>")
    for page in ("/sandbox/", "/sandbox/mail/"):
        answer = client.get(f"{prefix}{page}")
        assert answer.status_code == 200
        assert "no-store" in answer["Cache-Control"]
        assert "unsafe" not in answer["Content-Security-Policy"]
    html = answer.content.decode()
    assert "&lt;b&gt;Hoi&lt;/b&gt;" in html
    assert '<a href="http://127.0.0.1/x" rel="nofollow">' in html
    assert "<script>" not in html


def test_letter_as_html_is_cut_off_from_everything(box: mailbox.Maildir, client: Client) -> None:
    deliver(box, "ada@example.test", "Hoi", html='<p style="color:red">Dag</p><script>alert(1)</script>')
    page = client.get("/sandbox/mail/").content.decode()
    address = page.partition('<a href="/sandbox/mail/2')[2].partition('"')[0]
    answer = client.get(f"/sandbox/mail/2{address}")
    policy = {part.strip() for part in answer["Content-Security-Policy"].split(";")}
    assert policy == {
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "sandbox",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    }
    assert answer.content.decode().strip() == '<p style="color:red">Dag</p><script>alert(1)</script>'
    assert client.get("/sandbox/mail/20200101000000000000/").status_code == 404


def test_codes_are_those_that_staff_have_to_type(client: Client) -> None:
    answer = client.get("/sandbox/codes.json").json()
    assert 0 < answer["seconds_left"] <= 30
    for account, told in zip(DEMO_ACCOUNTS, answer["staff"], strict=True):
        assert (told["email"], told["password"], told["role"]) == (account.email, account.password, account.role)
        assert validate_totp_code(account.totp_secret, told["code"])


def test_index_shows_every_account_and_card(client: Client) -> None:
    html = client.get("/en/sandbox/").content.decode()
    codes = [each["code"] for each in client.get("/sandbox/codes.json").json()["staff"]]
    for word in [each.email for each in DEMO_ACCOUNTS] + [each.number for each in DEMO_CARDS]:
        assert word in html
    assert any(code in html for code in codes)


def test_index_shows_cards_that_the_library_system_knows(client: Client) -> None:
    html = client.get("/en/sandbox/").content.decode()
    row = '<th scope="row">{}</th><td>{}</td><td>{}</td>'
    good, without = cards_of(Condition.GOOD)[0], cards_of(Condition.WITHOUT_PIN)[0]
    assert row.format(good.number, good.pin, "is confirmed at once") in html
    assert row.format(without.number, "none", "has no PIN, so that nothing proves whose it is") in html
    shown = {card.condition for card in CARDS.values() if card.number in html}
    assert shown == set(Condition)
    assert [card.number for card in cards_of(Condition.GOOD)[TO_TRY:] if card.number in html] == []


def test_every_fault_is_switched_on_and_off(settings: LazySettings, client: Client, tmp_path: Path) -> None:
    settings.SANDBOX_LIBRARY_FAULT = tmp_path / "fault"
    file = FaultFile(settings.SANDBOX_LIBRARY_FAULT)
    for kind in (*Kind, None):
        answer = client.post("/en/sandbox/fault/", {"fault": kind or ""})
        assert (answer.status_code, answer["Location"]) == (302, "/en/sandbox/#faults")
        assert file.read() == kind
        assert f'value="{kind or ""}" id="id_fault_{[None, *Kind].index(kind)}" checked' in (
            client.get("/en/sandbox/").content.decode()
        )
    assert client.post("/en/sandbox/fault/", {"fault": "fire"}).status_code == 400
    assert file.read() is None


def test_fault_is_not_switched_from_elsewhere(settings: LazySettings, tmp_path: Path) -> None:
    settings.SANDBOX_LIBRARY_FAULT = tmp_path / "fault"
    assert Client(enforce_csrf_checks=True).post("/sandbox/fault/", {"fault": "down"}).status_code == 403
    assert not settings.SANDBOX_LIBRARY_FAULT.exists()


def test_platform_page_is_where_the_platform_is(settings: LazySettings, client: Client) -> None:
    settings.SANDBOX_PLATFORM_URL = "http://127.0.0.1:8399"
    answer = client.get(reverse("sandbox_platform"))
    assert (answer.status_code, answer["Location"]) == (302, "http://127.0.0.1:8399")


# --- Where the sandbox is off ---

OFF = """
import importlib, django
django.setup()
from django.core.exceptions import ImproperlyConfigured
from django.conf import settings
from django.urls import Resolver404, resolve
for name in ("views", "urls", "library_page", "demo_world", "demo_catalog", "demo_people"):
    try:
        importlib.import_module(f"portal.sandbox.{name}")
    except ImproperlyConfigured:
        print(name, "refuses")
for path in ("/sandbox/", "/en/sandbox/", "/sandbox/mail/", "/sandbox/mail.json", "/sandbox/codes.json"):
    try:
        resolve(path)
    except Resolver404:
        print(path, "is nowhere")
print([name for name in dir(settings) if name.startswith("SANDBOX")])
"""


def run(script: str, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY": "only-for-this-test-" + "0123456789" * 5,
        "DATABASE_URL": "postgres://leerkaart@127.0.0.1:9/leerkaart",
        "REDIS_URL": "redis://127.0.0.1:9/0",
    }
    command = [sys.executable, "-c", script]
    return subprocess.run(
        command, cwd=ROOT, env=environment | more, capture_output=True, text=True, timeout=60, check=False
    )


def test_nothing_of_the_sandbox_is_there_when_it_is_off() -> None:
    done = run(OFF, SITE_URL="https://leerkaart.example")
    assert done.stdout.splitlines() == [
        "views refuses",
        "urls refuses",
        "library_page refuses",
        "demo_world refuses",
        "demo_catalog refuses",
        "demo_people refuses",
        "/sandbox/ is nowhere",
        "/en/sandbox/ is nowhere",
        "/sandbox/mail/ is nowhere",
        "/sandbox/mail.json is nowhere",
        "/sandbox/codes.json is nowhere",
        "['SANDBOX']",
    ], done.stderr


def test_sandbox_on_a_site_on_https_does_not_start() -> None:
    done = run("import django; django.setup()", SITE_URL="https://leerkaart.example", SANDBOX="on")
    assert done.returncode != 0
    assert "SANDBOX is on, and SITE_URL is https" in done.stderr
