"""What a visitor does who signs in with an identity: press the button, be at the provider, come back."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests
from django.test import Client

START, MAIL = "/en/accounts/oidc/uitid/login/", "/en/accounts/oidc/mail/"
CALLBACK = "/accounts/oidc/uitid/login/callback/"


def press(client: Client, *, then: str = "", start: str = START) -> Any:
    return client.post(start, {"next": then})


def at_provider(address: str) -> str:
    """Where the provider sends the browser back to, without the site."""
    answer = requests.get(address, allow_redirects=False, timeout=5)
    assert answer.status_code == 302
    back = urlsplit(answer.headers["Location"])
    assert f"{back.scheme}://{back.netloc}" == "http://testserver"
    return f"{back.path}?{back.query}"


def come(client: Client, *, then: str = "", start: str = START) -> Any:
    """All of it: the answer to who comes back."""
    return client.get(at_provider(press(client, then=then, start=start)["Location"]))
