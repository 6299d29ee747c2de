"""The sandbox's platform tells the portal what is done to an account there, in the words of the scheme."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from standardwebhooks import Webhook

from enrollment import noticing, provisioning
from enrollment.models import Enrollment, ProviderAccount, ProviderNotice
from libraries.models import Institution
from portal.sandbox.platform import Platform, PlatformServer
from portal.sandbox.platform_notices import LABELS, Notices
from tests.catalog.provider.test_notices import OTHER, SECRET
from tests.factories import make_institution, make_library, make_member, make_programme, make_provider
from tests.platform_server import TOKEN, RunningPlatform, served
from tests.rosters import put_on_roster

FACT = "18/05/1944"


@pytest.fixture
def platform(tmp_path: Path, live_server: LiveServer) -> Iterator[RunningPlatform]:
    """It knows the portal, which knows it and its secret."""
    notices = Notices(f"{live_server.url}/hooks/skillstown/", SECRET)
    with served(PlatformServer(0, Platform(tmp_path / "accounts.jsonl", TOKEN, notices)), TOKEN) as running:
        yield running


@pytest.fixture
def ada(platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> Enrollment:
    monkeypatch.setenv("SANDBOX_WEBHOOK_SECRET", SECRET)
    make_provider(base_url=platform.base_url, webhook_secret_name="SANDBOX_WEBHOOK_SECRET")
    halle = make_institution("halle", card_check=Institution.CardCheck.ROSTER)
    put_on_roster(halle, "21000001", FACT, valid_until=date(2099, 1, 1))
    made = make_member(
        programme=make_programme(), library=make_library("Halle", halle), number="21000001", second_fact=FACT
    )
    settle()
    return made


def settle() -> None:
    while noticing.settle_next(now=timezone.now):
        pass
    ProviderAccount.objects.filter(due_at__isnull=False, stuck_at=None).update(due_at=timezone.now())
    while provisioning.settle_next(secret_of=lambda _name: TOKEN, now=timezone.now):
        pass


def press(platform: RunningPlatform, kind: str, **form: str) -> requests.Response:
    [account] = platform.accounts()
    told = {"id": account["id"], "type": kind, **form}
    return requests.post(f"{platform.server.address}/notices", data=told, timeout=5, allow_redirects=False)


@pytest.mark.django_db(transaction=True)
def test_every_button_does_it_and_tells_the_portal(platform: RunningPlatform, ada: Enrollment) -> None:
    shown = requests.get(platform.server.address, timeout=5).text
    assert [f'value="{kind}"' in shown for kind in LABELS] == [True] * 3
    seen = []
    for kind in ("progress", "account.changed", "account.closed"):
        assert press(platform, kind).status_code == 303
        seen.append([(each["email"], each["active"]) for each in platform.accounts()])
        settle()
    email = ada.user.email
    assert seen == [[(email, True)], [(f"changed.{email}", True)], [(email, False)]]
    outcomes = ProviderNotice.objects.order_by("pk").values_list("kind", "outcome")
    assert list(outcomes) == [("progress", "used"), ("account.changed", "look"), ("account.closed", "stuck")]
    assert ProviderAccount.objects.get().trouble == "closed_there"
    ada.refresh_from_db()
    assert ada.used_at is not None


@pytest.mark.django_db(transaction=True)
def test_platform_says_why_the_portal_was_not_told(
    platform: RunningPlatform, ada: Enrollment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_WEBHOOK_SECRET", OTHER)
    said = [press(platform, "progress"), press(platform, "account.renamed"), press(platform, "progress", id="nobody")]
    assert [(each.status_code, each.text) for each in said] == [
        (400, "the portal did not take it: 401\n"),
        (400, "type must be one of account.closed, account.changed, progress\n"),
        (400, "there is no such account\n"),
    ]


def test_peer_takes_what_the_platform_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []

    class Opener:
        def open(self, request: Any, timeout: float) -> Any:
            sent.append(request)
            raise OSError

    monkeypatch.setattr("urllib.request.build_opener", lambda *handlers: Opener())
    notices = Notices("http://127.0.0.1:9/hooks/skillstown/", SECRET)
    with pytest.raises(ValueError, match="the portal could not be reached"):
        notices.send("progress", {"id": "42", "external_id": "x", "email": "ada@example.test"})
    [request] = sent
    told = Webhook(SECRET).verify(request.data, dict(request.header_items()))
    assert told["data"] == {"id": "42", "externalId": "x", "course": "ST-1001", "percent": 25}
    assert "ada" not in json.dumps(told)


def test_platform_without_a_portal_tells_nobody(tmp_path: Path) -> None:
    assert Notices.of("http://127.0.0.1:8000", None) is None
    told = Notices.of("http://127.0.0.1:8000", SECRET)
    assert told == Notices("http://127.0.0.1:8000/hooks/skillstown/", SECRET)
    assert SECRET not in repr(told)
    with served(PlatformServer(0, Platform(tmp_path / "a", TOKEN)), TOKEN) as alone:
        answer = requests.post(f"{alone.server.address}/notices", json={"id": "1", "type": "progress"}, timeout=5)
        assert (answer.status_code, answer.text) == (400, "the platform knows no portal to tell\n")
        elsewhere = {"Origin": "https://elsewhere.example"}
        assert requests.post(f"{alone.server.address}/notices", headers=elsewhere, timeout=5).status_code == 403
