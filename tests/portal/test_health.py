"""What a watcher is told when parts are gone."""

import socket
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from catalog.models import Provider, ProviderLine
from enrollment.models import Letter, ProviderAccount
from tests.factories import make_library, make_member, make_programme, make_provider, make_user


@pytest.mark.django_db(databases=[])
def test_healthz_asks_nothing_but_the_process(client: Client) -> None:
    response = client.get("/healthz")
    assert (response.status_code, response.content) == (200, b"ok\n")


@pytest.mark.django_db
def test_readyz_says_that_all_is_well(client: Client) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "database": "ok",
        "broker": "ok",
        "oldest_owed_seconds": {"accounts": None, "letters": None},
        "providers_down": 0,
    }


@pytest.mark.django_db
def test_readyz_tells_a_provider_that_is_down_apart_from_what_is_late(client: Client) -> None:
    for slug in ("down", "up"):
        provider, since = make_provider(slug), timezone.now() - timedelta(hours={"down": 5, "up": 1}[slug])
        user = make_user(f"{slug}@example.test")
        ProviderAccount.objects.create(user=user, provider=provider, must_be_active=True, due_at=since)
    down = Provider.objects.get(slug="down")
    ProviderLine.objects.create(provider=down, down_since=timezone.now(), next_probe_at=timezone.now())
    said = client.get("/readyz").json()
    assert (said["status"], said["providers_down"]) == ("ok", 1)
    assert 3600 <= said["oldest_owed_seconds"]["accounts"] < 3660


@pytest.mark.django_db
def test_readyz_tells_for_how_long_work_is_owed(client: Client) -> None:
    library = make_library()
    make_member(programme=make_programme(), library=library)
    Letter.objects.update(due_at=timezone.now() - timedelta(seconds=90))
    owed = client.get("/readyz").json()["oldest_owed_seconds"]
    assert 90 <= owed["letters"] < 100


@pytest.mark.django_db
def test_readyz_is_degraded_when_the_broker_refuses(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.django_db
def test_readyz_does_not_wait_for_a_silent_broker(client: Client, settings: Settings, black_hole: int) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{black_hole}/0"
    started = time.monotonic()
    response = client.get("/readyz")
    assert (response.status_code, response.json()["broker"]) == (200, "degraded")
    assert time.monotonic() - started < 2
