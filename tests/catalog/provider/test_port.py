"""What every client promises, on a real server of its kind over loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from catalog.provider.client import MOST_AT_ONCE, Connection, Person, ProviderClient
from catalog.provider.errors import ProviderError, RateLimited, Refused, Unclear, Unreachable
from catalog.provider.exchange import new_session
from catalog.provider.moodle import MoodleClient
from catalog.provider.scim import ScimClient
from catalog.provider.trial import Mender, Step, StepName
from tests.catalog.provider.conftest import connection_to
from tests.moodle_server import RunningMoodle, running_moodle
from tests.platform_server import Kind, RunningPlatform, running_platform

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
Server = RunningPlatform | RunningMoodle
WAYS: dict[str, tuple[Callable[..., AbstractContextManager[Server]], Callable[..., ProviderClient]]] = {
    "scim": (running_platform, ScimClient),
    "moodle": (running_moodle, MoodleClient),
}


@dataclass
class There:
    """The provider's side, and a client to it."""

    kind: str
    server: Server
    client: ProviderClient
    connect: Callable[[Connection], ProviderClient]

    def add(self, external_id: str, email: str) -> None:
        """As someone else would, past our client."""
        if isinstance(self.server, RunningMoodle):
            self.server.site.add(username=email, email=email, firstname="X", lastname="Y", idnumber=external_id)
            return
        body = {"schemas": [USER], "externalId": external_id, "userName": email, "active": True}
        headers = {"Authorization": f"Bearer {self.server.token}"}
        assert requests.post(f"{self.server.base_url}/Users", json=body, headers=headers, timeout=5).status_code == 201

    def held(self) -> list[tuple[Any, ...]]:
        """Newest first."""
        told = ("external_id", "email", "name", "active")
        return [tuple(account[name] for name in told) for account in self.server.accounts()]


@pytest.fixture(scope="module", params=WAYS)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Server]]:
    """One for all tests: the SCIM server takes long to begin."""
    start, _client = WAYS[request.param]
    with start(tmp_path_factory.mktemp("port") / "state.jsonl") as server:
        yield request.param, server


@pytest.fixture
def there(running: tuple[str, Server]) -> Iterator[There]:
    kind, server = running
    server.clear_faults()
    server.forget_all()
    with new_session() as session:
        connect = partial(WAYS[kind][1], session=session)
        yield There(kind, server, connect(connection_to(server)), connect)


def outcome(call: Callable[..., object], *arguments: object) -> tuple[type[ProviderError], str]:
    with pytest.raises(ProviderError) as error:
        call(*arguments)
    return type(error.value), error.value.code


def test_find_gives_none_when_nobody_has_our_id(there: There) -> None:
    assert there.client.find("nobody") is None


def test_create_opens_an_active_account_with_the_data(there: There, ada: Person) -> None:
    account = there.client.create(ada)
    (held,) = there.server.accounts()
    assert there.held() == [(ada.external_id, ada.email, "Ada Peeters", True)]
    seen = (account.remote_id, account.external_id, account.email, account.first_name, account.last_name)
    assert seen == (held["id"], ada.external_id, ada.email, "Ada", "Peeters")
    assert (account.language, account.active) == ("nl", True)


def test_find_sees_what_create_made(there: There, ada: Person) -> None:
    assert there.client.create(ada) == there.client.find(ada.external_id)


def test_create_twice_returns_the_one_account(there: There, ada: Person) -> None:
    assert there.client.create(ada) == there.client.create(ada)
    assert len(there.held()) == 1


def test_create_never_adopts_an_account_by_its_name(there: There, ada: Person) -> None:
    there.add("someone-else", ada.email)
    assert outcome(there.client.create, ada) == (Refused, "name_taken")
    assert [external_id for external_id, *_ in there.held()] == ["someone-else"]


def test_find_refuses_two_matches(there: There, ada: Person) -> None:
    there.add(ada.external_id, "one@example.be")
    there.add(ada.external_id, "two@example.be")
    assert outcome(there.client.find, ada.external_id) == (Refused, "two_matches")


def test_open_brings_the_data_to_what_must_be(there: There, ada: Person) -> None:
    moved = replace(ada, email="new@example.be", first_name="Ada-Lou", last_name="Claes", language="fr")
    opened = there.client.open(there.client.create(ada), moved)
    assert there.held() == [(ada.external_id, "new@example.be", "Ada-Lou Claes", True)]
    seen = (opened.email, opened.first_name, opened.last_name, opened.language, opened.active)
    assert seen == ("new@example.be", "Ada-Lou", "Claes", "fr", True)
    assert there.client.find(ada.external_id) == opened


def test_account_is_closed_and_opened_again(there: There, ada: Person) -> None:
    closed = there.client.close(there.client.create(ada))
    assert (closed.active, there.client.find(ada.external_id)) == (False, closed)
    opened = there.client.open(closed, ada)
    assert (opened.active, there.client.find(ada.external_id)) == (True, opened)


def test_change_told_twice_changes_nothing_more(there: There, ada: Person) -> None:
    closed = there.client.close(there.client.create(ada))
    assert there.client.close(closed) == closed
    opened = there.client.open(closed, ada)
    assert there.client.open(opened, ada) == opened


def test_change_of_a_vanished_account_is_unclear(there: There, ada: Person) -> None:
    account = there.client.create(ada)
    there.client.erase(account)
    assert outcome(there.client.close, account) == (Unclear, "gone")
    assert outcome(there.client.open, account, ada) == (Unclear, "gone")


def test_change_to_a_taken_name_is_refused(there: There, ada: Person, bo: Person) -> None:
    there.client.create(bo)
    account = there.client.create(ada)
    assert outcome(there.client.open, account, replace(ada, email=bo.email)) == (Refused, "name_taken")
    assert there.client.find(ada.external_id) == account


def test_open_never_touches_an_account_that_is_not_ours(there: There, ada: Person, bo: Person) -> None:
    account = there.client.create(ada)
    assert outcome(there.client.open, account, bo) == (Refused, "not_ours")
    assert there.client.find(ada.external_id) == account


def test_erase_removes_the_account_and_may_be_repeated(there: There, ada: Person) -> None:
    account = there.client.create(ada)
    there.client.erase(account)
    there.client.erase(account)
    assert (there.held(), there.client.find(ada.external_id)) == ([], None)


def test_find_many_gives_all_that_carry_one_of_the_ids(there: There, ada: Person, bo: Person) -> None:
    accounts = [there.client.create(ada), there.client.create(bo)]
    there.add("two", "one@example.be")
    there.add("two", "other@example.be")
    there.add("someone-else", "x@example.be")
    found = there.client.find_many([ada.external_id, "nobody", bo.external_id, "two"])
    assert sorted(str(account.external_id) for account in found) == [ada.external_id, bo.external_id, "two", "two"]
    assert {account.external_id: account for account in found if account.external_id != "two"} == {
        account.external_id: account for account in accounts
    }
    assert list(there.client.find_many([])) == []


def test_find_many_takes_no_more_than_it_says(there: There) -> None:
    assert list(there.client.find_many([f"{number:036}" for number in range(MOST_AT_ONCE)])) == []
    with pytest.raises(ValueError, match="50"):
        there.client.find_many([str(number) for number in range(MOST_AT_ONCE + 1)])


def test_page_lists_all_or_says_that_there_is_no_list(there: There, ada: Person, bo: Person) -> None:
    accounts = [there.client.create(ada), there.client.create(bo)]
    if not there.client.has_list:
        assert outcome(there.client.page, None) == (Refused, "no_list")
        return
    page = there.client.page(None)
    assert sorted(page.accounts, key=lambda account: account.external_id or "") == accounts
    assert (page.after, page.total) == (None, 2)


def test_wrong_token_is_refused(there: There, ada: Person) -> None:
    wrong = there.connect(replace(connection_to(there.server), token="wrong"))
    assert outcome(wrong.create, ada) == (Refused, "bad_token")


def test_server_down_is_unreachable_for_a_look(there: There, ada: Person) -> None:
    account = there.client.create(ada)
    there.server.fault(Kind.DOWN)
    assert outcome(there.client.find, ada.external_id) == (Unreachable, "server_error")
    assert outcome(there.client.close, account) == (Unclear, "server_error")
    there.server.clear_faults()
    assert there.client.find(ada.external_id) == account


def test_too_many_requests_says_how_long_to_wait(there: There, ada: Person) -> None:
    there.server.fault(Kind.TOO_MANY, times=1, seconds=7)
    with pytest.raises(RateLimited) as limited:
        there.client.create(ada)
    assert (limited.value.after, there.held()) == (7.0, [])


@pytest.mark.parametrize("kind", [Kind.DROPPED_REPLY, Kind.ERROR_AFTER_CREATING])
def test_account_made_without_a_good_answer_is_found_and_not_made_again(there: There, ada: Person, kind: Kind) -> None:
    there.server.fault(kind, times=1)
    try:
        made = there.client.create(ada)
    except Unclear:
        assert (there.kind, kind) != ("moodle", Kind.ERROR_AFTER_CREATING)
        made = there.client.create(ada)
    assert there.client.find(ada.external_id) == made
    assert len(there.held()) == 1


@pytest.mark.parametrize("change", ["close", "erase"])
def test_change_whose_answer_is_lost_is_unclear_and_was_made(there: There, ada: Person, change: str) -> None:
    account = there.client.create(ada)
    there.server.fault(Kind.DROPPED_REPLY, times=1)
    assert outcome(getattr(there.client, change), account) == (Unclear, "connection_lost")
    found = there.client.find(ada.external_id)
    assert (found and found.active) == (None if change == "erase" else False)


def test_slow_answer_leaves_a_look_failed_and_a_write_unclear(there: There, ada: Person) -> None:
    account = there.client.create(ada)
    hasty = there.connect(replace(connection_to(there.server), read_timeout=0.2))
    there.server.fault(Kind.SLOW, times=1, seconds=0.5)
    assert outcome(hasty.find, ada.external_id) == (Unreachable, "timeout")
    there.server.fault(Kind.SLOW, times=1, seconds=0.5)
    assert outcome(hasty.close, account) == (Unclear, "timeout")


def test_client_survives_a_restart_of_the_server(there: There, ada: Person, tmp_path: Path) -> None:
    start, client = WAYS[there.kind]
    with new_session() as session:
        with start(tmp_path / "again.jsonl") as first:
            connection = connection_to(first)
            account = client(connection, session).create(ada)
        with start(tmp_path / "again.jsonl", port=int(first.server.server_port)):
            assert client(connection, session).find(ada.external_id) == account


@pytest.mark.parametrize("call", ["create", "close", "find"])
def test_answers_for_the_operator_hold_nothing_of_the_person(there: There, ada: Person, call: str) -> None:
    account = there.client.create(ada)
    wrong = there.connect(replace(connection_to(there.server), token="wrong-secret"))
    with pytest.raises(Refused) as refusal:
        getattr(wrong, call)({"create": ada, "close": account, "find": ada.external_id}[call])
    told = refusal.value.answer
    assert told.partition(" ")[0] in ("GET", "POST", "PATCH")
    assert [value for value in ("wrong-secret", *vars(ada).values(), account.remote_id) if value in told] == []


def test_trial_of_a_good_provider_changes_nothing(there: There) -> None:
    steps = there.client.try_out()
    left_out = {StepName.TLS, *([] if there.client.has_list else [StepName.LIST])}
    assert [(step.name, step.trouble) for step in steps] == [(name, "") for name in StepName if name not in left_out]
    assert there.held() == []


def test_trial_with_a_wrong_token_stops_at_the_secret(there: There) -> None:
    steps = there.connect(replace(connection_to(there.server), token="wrong")).try_out()
    assert [step.name for step in steps if step.is_good] == ["settings", "resolve", "connect", "answer"]
    assert (steps[-1].name, steps[-1].trouble, steps[-1].mender) == ("secret", "bad_token", Mender.OPERATOR)
    assert steps[-1].answer != ""


def test_trial_of_a_token_that_cannot_be_sent_proves_nothing(there: There) -> None:
    steps = there.connect(replace(connection_to(there.server), token="")).try_out()
    assert list(steps) == [Step(StepName.SETTINGS, "bad_token", mender=Mender.OPERATOR)]


def test_trial_of_a_server_that_is_away_stops_at_the_connection(there: There) -> None:
    with new_session() as session:
        away = WAYS[there.kind][1](Connection("http://127.0.0.1:1", "t", 5.0, 5.0, 15.0), session)
        steps = away.try_out()
    assert [step.name for step in steps if step.is_good] == ["settings", "resolve"]
    assert (steps[-1].name, steps[-1].trouble, steps[-1].failure) == ("connect", "unreachable", "refused")
    assert steps[-1].mender == Mender.PROVIDER


def test_trial_of_a_server_that_is_down_stops_at_its_answer(there: There) -> None:
    there.server.fault(Kind.DOWN)
    steps = there.client.try_out()
    assert [step.name for step in steps if step.is_good] == ["settings", "resolve", "connect"]
    assert (steps[-1].name, steps[-1].trouble, steps[-1].mender) == ("answer", "server_error", Mender.NOBODY)
