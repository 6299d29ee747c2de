import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from catalog.provider.client import Connection, Person
from catalog.provider.errors import Refused
from catalog.provider.registry import client_for
from tests.platform_server import RunningPlatform


def connections(platform: RunningPlatform) -> int:
    open_ones: set[socket.socket] = platform.server.connections
    return len(open_ones)


def test_calls_of_one_thread_share_a_connection(platform: RunningPlatform) -> None:
    connection = Connection(platform.base_url, platform.token)
    for _ in range(3):
        assert client_for("scim", connection).find("nobody") is None
    assert connections(platform) == 1


def test_threads_have_their_own_connections(platform: RunningPlatform, ada: Person) -> None:
    connection = Connection(platform.base_url, platform.token)

    def sign_up(number: int) -> str | None:
        person = replace(ada, external_id=f"id-{number}", email=f"m{number}@example.be")
        return client_for("scim", connection).create(person).external_id

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(sign_up, range(40)))
    assert made == [f"id-{number}" for number in range(40)]
    assert len(platform.accounts()) == 40


def test_another_token_for_the_same_provider_is_used_at_once(platform: RunningPlatform) -> None:
    client_for("scim", Connection(platform.base_url, platform.token)).find("nobody")
    with pytest.raises(Refused) as refusal:
        client_for("scim", Connection(platform.base_url, "old")).find("nobody")
    assert refusal.value.code == "bad_token"


def test_unknown_kind_is_refused_by_name() -> None:
    with pytest.raises(Refused) as refusal:
        client_for("fax", Connection("http://127.0.0.1:1/v2", "t"))
    assert str(refusal.value) == "unknown_kind: no client for providers of kind 'fax'; known: scim"
