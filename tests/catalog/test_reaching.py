"""What keeps every request of a provider from being made is told to its line, before any is."""

from __future__ import annotations

import pytest

from catalog import line, reaching
from catalog.models import CallTally, ProviderLine
from catalog.provider.errors import Refused
from tests.factories import make_provider

pytestmark = pytest.mark.django_db


def secret_of(name: str) -> str:
    return {"GOOD": "a-token", "EMPTY": "", "ODD": "two\nlines"}[name]


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("no_secret", {"secret_name": "ELSEWHERE"}),
        ("bad_token", {"secret_name": "EMPTY"}),
        ("bad_token", {"secret_name": "ODD"}),
        ("unknown_kind", {"kind": "fax"}),
        ("bad_address", {"base_url": "ftp://example.be/v2"}),
        ("bad_address", {"base_url": "http://example.be:99999/v2"}),
        ("bad_address", {"base_url": "http://ada:pin@example.be/v2"}),
    ],
)
def test_what_every_request_would_meet_takes_the_line_down(code: str, fields: dict[str, str]) -> None:
    provider = make_provider(**{"secret_name": "GOOD", **fields})
    with pytest.raises(Refused) as refusal:
        reaching.client_of(provider, secret_of=secret_of, deadline=5.0)
    assert refusal.value.code == code
    found = ProviderLine.objects.get()
    assert (found.down_since is not None, found.last_trouble, CallTally.objects.exists()) == (True, code, False)


def test_request_goes_in_turn_on_the_providers_line(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, asked = make_provider(secret_name="GOOD"), []
    monkeypatch.setattr(line, "turn", lambda provider_id, **settings: asked.append((provider_id, settings)))
    reaching.connection_to(provider, secret_of=secret_of, deadline=5.0).turn(writes=True)
    assert asked == [(provider.pk, {"expires": 6.0, "writes": True})]
