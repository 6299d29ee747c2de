"""What a visitor does in the tests of pages: ask for a code, read it in the mail, type it; and what a page says."""

from __future__ import annotations

import html
import re
from io import BytesIO
from typing import Any

from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.test import Client
from django.utils import timezone

from libraries import rosters
from libraries.models import Library

CONFIRM = "/en/accounts/login/code/confirm/"
CARD = "/en/join/card/"
GOOD = {"number": "2100 0001", "first_name": "Ada", "last_name": "Peeters", "language": "nl"}
BORN = "nummer;geldig_tot;geboortedatum\n"


def newest_code() -> str:
    found = re.search(r"^\d{4}-\d{4}$", str(mail.outbox[-1].body), re.MULTILINE)
    assert found is not None
    return found[0]


def html_of(sent: EmailMessage) -> str:
    assert isinstance(sent, EmailMultiAlternatives)
    return str(sent.alternatives[0][0])


def wrong_code() -> str:
    return newest_code().translate(str.maketrans("0123456789", "1234567890"))


def sign_in(client: Client, email: str = "ada@example.test", then: str = CARD) -> None:
    assert client.post("/en/join/", {"email": email}).status_code == 302
    answer = client.post(CONFIRM, {"code": newest_code(), "next": then})
    assert (answer.status_code, answer["Location"]) == (302, then)


def words_of(response: Any) -> str:
    """The main part of a page as it is read."""
    main = re.search(r"<main.*</main>", response.content.decode(), re.DOTALL)
    assert main is not None
    text = re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", main[0], flags=re.DOTALL)
    return " ".join(html.unescape(text).split())


def heading_of(response: Any) -> str:
    heading = re.search(r"<h1>(.*?)</h1>", response.content.decode(), re.DOTALL)
    assert heading is not None
    return " ".join(html.unescape(heading[1]).split())


def errors_of(response: Any) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = response.context["form"].errors
    return {field: [str(error) for error in found] for field, found in errors.items()}


def card_page(library: Library, **more: str) -> str:
    query = "".join(f"&{key}={value}" for key, value in more.items())
    return f"{CARD}?library={library.pk}{query}"


def apply(client: Client, library: Library, **fields: str) -> Any:
    return client.post(card_page(library), GOOD | fields)


def fill_roster(library: Library, text: str) -> None:
    institution = library.institution
    institution.card_check = "roster"
    institution.save()
    source = BytesIO(text.encode())
    rosters.import_roster(institution=institution, source=source, by=None, now=timezone.now())
