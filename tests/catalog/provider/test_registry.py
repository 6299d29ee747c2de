import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import pytest

from catalog.provider.client import Connection, Person
from catalog.provider.errors import ProviderError, Refused
from catalog.provider.registry import client_for, try_out
from catalog.provider.trial import Mender, Step, StepName
from tests import platform_server
from tests.platform_server import Kind, RunningPlatform

platform = platform_server.platform  # of its own for each test: its connections are counted


def connections(platform: RunningPlatform) -> int:
    open_ones: set[socket.socket] = platform.server.connections
    return len(open_ones)


def test_calls_of_one_thread_share_a_connection(platform: RunningPlatform) -> None:
    connection = Connection(platform.base_url, platform.token)
    for _ in range(3):
        assert client_for("scim", connection).find("nobody") is None
    assert connections(platform) == 1


@pytest.fixture
def accepted(platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Each connection that the server was asked for."""
    seen: list[object] = []
    accept = platform.server.get_request

    def get_request() -> object:
        seen.append(None)
        return accept()

    monkeypatch.setattr(platform.server, "get_request", get_request)
    return seen


@pytest.mark.parametrize("kind", [Kind.DOWN, Kind.TOO_MANY, Kind.REFUSE, Kind.ERROR_AFTER_CREATING])
def test_connection_is_kept_after_an_error(
    platform: RunningPlatform, accepted: list[object], ada: Person, kind: Kind
) -> None:
    connection = Connection(platform.base_url, platform.token)
    platform.fault(kind, times=1)
    for _ in range(3):
        with suppress(ProviderError):
            client_for("scim", connection).create(ada)
    with pytest.raises(Refused):
        client_for("scim", replace(connection, token="old")).find("nobody")
    assert client_for("scim", connection).find(ada.external_id) is not None
    assert len(accepted) == 1


def _lose_an_answer(platform: RunningPlatform, ada: Person) -> None:
    platform.fault(Kind.DROPPED_REPLY, times=1)
    client_for("scim", Connection(platform.base_url, platform.token)).create(ada)


def _wait_in_vain(platform: RunningPlatform, ada: Person) -> None:
    platform.fault(Kind.SLOW, times=1, seconds=0.4)
    client_for("scim", Connection(platform.base_url, platform.token, read_timeout=0.2)).create(ada)


@pytest.mark.parametrize("breaking", [_lose_an_answer, _wait_in_vain])
def test_broken_connection_is_replaced_once_and_the_new_one_is_kept(
    platform: RunningPlatform,
    accepted: list[object],
    ada: Person,
    breaking: Callable[[RunningPlatform, Person], None],
) -> None:
    with pytest.raises(ProviderError):
        breaking(platform, ada)
    for _ in range(3):
        found = client_for("scim", Connection(platform.base_url, platform.token)).find(ada.external_id)
        assert found is not None
    assert len(accepted) == 2


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
    assert str(refusal.value) == "unknown_kind: no client for providers of kind 'fax'; known: moodle, scim"


def test_trial_of_what_cannot_be_tried_says_why() -> None:
    def no_secret() -> Connection:
        raise Refused("no_secret", "the environment has no X")

    told = [
        *try_out("fax", lambda: Connection("http://127.0.0.1:1/v2", "t")),
        *try_out("scim", no_secret),
        *try_out("scim", lambda: Connection("nonsense", "t")),
    ]
    assert [(step.name, step.trouble, step.mender) for step in told] == [
        (StepName.SETTINGS, "unknown_kind", Mender.OPERATOR),
        (StepName.SETTINGS, "no_secret", Mender.OPERATOR),
        (StepName.SETTINGS, "bad_address", Mender.OPERATOR),
    ]


def test_trial_goes_by_kind(platform: RunningPlatform) -> None:
    steps = try_out("scim", lambda: Connection(platform.base_url, platform.token))
    assert steps[0] == Step(StepName.SETTINGS)
    assert [step.name for step in steps if not step.is_good] == []
