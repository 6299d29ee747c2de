"""The proxy does what each fault says, and tells what it did; nothing else befalls what goes through it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from catalog.provider import registry
from catalog.provider.client import Connection, Person, ProviderClient
from catalog.provider.errors import ProviderError
from tests.faults.proxy import ENDLESS, UNHEARD, Fault, FaultProxy, fault_proxy, no_faults, seeded
from tests.platform_server import TOKEN, RunningPlatform, running_platform

ADA = Person("11111111-1111-4111-8111-111111111111", "ada@example.test", "Ada", "Peeters", "nl")
# What the client makes of each: the kind of error, its code, and how long it is asked to wait.
OUTCOMES = {
    Fault.RESET_BEFORE: ("Unclear", "connection_lost", None),
    Fault.DEAF: ("Unclear", "timeout", None),
    Fault.AWAY: ("Unclear", "connection_lost", None),
    Fault.TOO_MANY: ("RateLimited", "rate_limited", 7),
    Fault.TOO_MANY_UNTIL: ("RateLimited", "rate_limited", pytest.approx(7, abs=1)),  # a date has no fractions
    Fault.TOO_MANY_BARE: ("RateLimited", "rate_limited", 30),
    Fault.DOWN: ("Unclear", "server_error", 7),
    Fault.DOWN_BARE: ("Unclear", "server_error", None),
    Fault.ERROR: ("Unclear", "server_error", None),
    Fault.HTML: ("Unclear", "bad_answer", None),
    Fault.RESET_AFTER: ("Unclear", "connection_lost", None),
    Fault.DROPPED: ("Unclear", "connection_lost", None),
    Fault.SILENT: ("Unclear", "timeout", None),
    Fault.LATE: ("Unclear", "timeout", None),
    Fault.CUT: ("Unclear", "connection_lost", None),
    Fault.ERROR_AFTER: ("Unclear", "server_error", None),
    Fault.HTML_AFTER: ("Unclear", "bad_answer", None),
    Fault.BROKEN: ("Unclear", "bad_answer", None),
    Fault.HUGE: ("Unclear", "answer_too_large", None),
    Fault.DRIP: ("Unclear", "timeout", None),
    Fault.SLOW: None,
    Fault.CLOSED: None,
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    folder: Path = tmp_path_factory.mktemp("platform")
    with running_platform(folder / "accounts.jsonl") as running:
        yield running


@pytest.fixture
def proxy(platform: RunningPlatform) -> Iterator[FaultProxy]:
    platform.server.platform.storage.resources = []
    with fault_proxy(platform.server.server_port) as running:
        running.seconds = 7.0
        yield running


def client(proxy: FaultProxy, *, deadline: float = 10.0) -> ProviderClient:
    connection = Connection(f"http://127.0.0.1:{proxy.port}/v2", TOKEN, deadline=deadline, read_timeout=1.0)
    return registry.client_for("scim", connection)


def test_without_a_fault_everything_goes_through(platform: RunningPlatform, proxy: FaultProxy) -> None:
    scim = client(proxy)
    made = scim.create(ADA)
    assert scim.find(ADA.external_id) == made
    assert [(each.method, each.status, each.fault) for each in proxy.history] == [
        ("POST", 201, None),
        ("GET", 200, None),
    ]
    assert len(platform.accounts()) == 1


@pytest.mark.parametrize("fault", Fault)
def test_fault_is_what_it_says(platform: RunningPlatform, proxy: FaultProxy, fault: Fault) -> None:
    proxy.plan = lambda number: fault if number == 0 else None
    caught: ProviderError | None = None
    try:
        client(proxy, deadline=0.3 if fault in ENDLESS else 10.0).create(ADA)
    except ProviderError as error:
        caught = error
    told = caught and (type(caught).__name__, caught.code, caught.after and round(caught.after))
    assert told == OUTCOMES[fault]
    [passage] = proxy.history
    assert passage.over.wait(10)
    heard = fault not in UNHEARD and fault is not Fault.LATE
    assert (passage.forwarded, len(platform.accounts())) == (heard, int(heard))


def test_late_request_arrives_when_it_is_let_go(platform: RunningPlatform, proxy: FaultProxy) -> None:
    proxy.plan = lambda number: Fault.LATE
    with pytest.raises(ProviderError):
        client(proxy, deadline=0.1).create(ADA)
    assert platform.accounts() == []
    assert (proxy.deliver_late(), proxy.deliver_late()) == (1, 0)
    assert [each["email"] for each in platform.accounts()] == [ADA.email]


def test_whoever_comes_after_a_proxy_went_away_is_refused_a_connection(proxy: FaultProxy) -> None:
    proxy.go_away()
    with pytest.raises(ProviderError) as caught:
        client(proxy).find(ADA.external_id)
    assert (caught.value.code, proxy.history) == ("unreachable", [])
    proxy.come_back()
    assert client(proxy).find(ADA.external_id) is None


def test_closed_connection_is_opened_again(proxy: FaultProxy) -> None:
    proxy.plan = lambda number: Fault.CLOSED
    answers = []
    with requests.Session() as session:
        for _ in range(3):
            answers.append(session.get(f"http://127.0.0.1:{proxy.port}/state.json", timeout=5))
            proxy.wait_until_closed()
    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_seed_decides_by_the_number_alone() -> None:
    plan, again = seeded(3, rate=0.5), seeded(3, rate=0.5)
    drawn = [plan(number) for number in range(500)]
    assert drawn == [again(number) for number in reversed(range(500))][::-1]
    assert set(drawn) == {None, *Fault}
    assert [seeded(4, rate=0.5)(number) for number in range(500)] != drawn


def test_plan_without_faults_has_none() -> None:
    assert {no_faults(number) for number in range(50)} == {None}


def test_history_is_told_with_the_clock_that_is_given(platform: RunningPlatform) -> None:
    moment = datetime(2026, 7, 3, tzinfo=UTC)
    with fault_proxy(platform.server.server_port, clock=lambda: moment) as proxy:
        client(proxy).find(ADA.external_id)
    assert [each.at for each in proxy.history] == [moment]
