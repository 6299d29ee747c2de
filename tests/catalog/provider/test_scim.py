"""The client against a real SCIM server over loopback."""

from dataclasses import replace
from pathlib import Path

import pytest
import requests

from catalog.provider.client import Account, Connection, Person
from catalog.provider.errors import RateLimited, Refused, Unclear, Unreachable
from catalog.provider.exchange import new_session
from catalog.provider.scim import ScimClient
from tests.catalog.provider.odd_server import in_turn, odd_server, saying
from tests.platform_server import Kind, RunningPlatform, running_platform

USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def add_account(platform: RunningPlatform, external_id: str, user_name: str) -> None:
    """As someone else would, past our client."""
    answer = requests.post(
        f"{platform.base_url}/Users",
        json={"schemas": [USER], "externalId": external_id, "userName": user_name, "active": True},
        headers={"Authorization": f"Bearer {platform.token}"},
        timeout=5,
    )
    assert answer.status_code == 201


def to_odd(base_url: str) -> ScimClient:
    return ScimClient(Connection(base_url, "t", 1.0, 1.0, 2.0), new_session())


def test_find_gives_none_when_nobody_has_our_id(client: ScimClient) -> None:
    assert client.find("nobody") is None


def test_create_opens_an_active_account_with_the_data(
    client: ScimClient, platform: RunningPlatform, ada: Person
) -> None:
    account = client.create(ada)
    (held,) = platform.accounts()
    assert account == Account(held["id"], ada.external_id, ada.email, "Ada", "Peeters", "nl", True, 'W/"1"')
    assert (held["name"], held["language"], held["active"]) == ("Ada Peeters", "nl-BE", True)


def test_find_sees_what_create_made(client: ScimClient, ada: Person) -> None:
    assert client.create(ada) == client.find(ada.external_id)


def test_create_twice_returns_the_one_account(client: ScimClient, platform: RunningPlatform, ada: Person) -> None:
    assert client.create(ada) == client.create(ada)
    assert len(platform.accounts()) == 1


def test_create_never_adopts_an_account_by_its_name(client: ScimClient, platform: RunningPlatform, ada: Person) -> None:
    add_account(platform, "someone-else", ada.email)
    with pytest.raises(Refused) as refusal:
        client.create(ada)
    assert refusal.value.code == "name_taken"
    assert [account["external_id"] for account in platform.accounts()] == ["someone-else"]


def test_find_refuses_two_matches(client: ScimClient, platform: RunningPlatform, ada: Person) -> None:
    add_account(platform, ada.external_id, "one@example.be")
    add_account(platform, ada.external_id, "two@example.be")
    with pytest.raises(Refused) as refusal:
        client.find(ada.external_id)
    assert refusal.value.code == "two_matches"


@pytest.mark.parametrize(
    "external_id",
    [
        'quo"te',
        "back\\slash",
        'x" or externalId pr or externalId eq "x',
        "a&b=c#d%20",
        "é 漢 \U0001f4da",
        "1' or '1",
    ],
)
def test_find_keeps_the_id_inside_the_filter(client: ScimClient, ada: Person, external_id: str) -> None:
    client.create(ada)
    assert client.find(external_id) is None
    odd = client.create(replace(ada, external_id=external_id, email="odd@example.be"))
    assert client.find(external_id) == odd


def test_update_brings_the_data_to_what_must_be(client: ScimClient, platform: RunningPlatform, ada: Person) -> None:
    moved = replace(ada, email="new@example.be", first_name="Ada-Lou", last_name="Claes", language="fr")
    updated = client.open(client.create(ada), moved)
    (held,) = platform.accounts()
    assert updated == Account(held["id"], ada.external_id, moved.email, "Ada-Lou", "Claes", "fr", True, 'W/"2"')
    assert (held["name"], held["language"]) == ("Ada-Lou Claes", "fr-BE")


def test_update_closes_and_opens_again(client: ScimClient, ada: Person) -> None:
    closed = client.close(client.create(ada))
    assert (closed.active, client.find(ada.external_id)) == (False, closed)
    opened = client.open(closed, ada)
    assert (opened.active, client.find(ada.external_id)) == (True, opened)


def test_update_twice_changes_nothing_more(client: ScimClient, ada: Person) -> None:
    closed = client.close(client.create(ada))
    assert client.close(closed) == closed


def test_update_without_a_version_still_works(client: ScimClient, ada: Person) -> None:
    seen = replace(client.create(ada), version=None)
    assert client.close(seen).active is False


def test_update_of_a_stale_version_is_unclear(client: ScimClient, ada: Person) -> None:
    stale = client.create(ada)
    client.close(stale)
    with pytest.raises(Unclear) as unclear:
        client.open(stale, ada)
    assert unclear.value.code == "changed_meanwhile"


def test_update_of_a_vanished_account_is_unclear(client: ScimClient, ada: Person) -> None:
    account = client.create(ada)
    client.erase(account)
    with pytest.raises(Unclear) as unclear:
        client.close(account)
    assert unclear.value.code == "gone"


def test_update_to_a_taken_name_is_refused(client: ScimClient, ada: Person, bo: Person) -> None:
    client.create(bo)
    with pytest.raises(Refused) as refusal:
        client.open(client.create(ada), replace(ada, email=bo.email))
    assert refusal.value.code == "name_taken"


def test_update_never_touches_an_account_that_is_not_ours(client: ScimClient, ada: Person, bo: Person) -> None:
    account = client.create(ada)
    with pytest.raises(Refused) as refusal:
        client.open(account, bo)
    assert refusal.value.code == "not_ours"
    assert client.find(ada.external_id) == account


def test_update_that_cannot_be_read_back_is_unclear(ada: Person) -> None:
    seen = Account("1", ada.external_id, ada.email, None, None, None, True)
    busy = saying("429 Too Many Requests", b"", "Retry-After: 9")
    with odd_server(in_turn(saying("204 No Content"), busy)) as odd, pytest.raises(Unclear) as unclear:
        to_odd(odd.base_url).close(seen)
    assert (unclear.value.code, unclear.value.after) == ("rate_limited", 9.0)


def test_create_that_cannot_look_after_a_conflict_is_to_be_tried_later(ada: Person) -> None:
    talk = in_turn(saying("409 Conflict"), saying("503 Down"))
    with odd_server(talk) as odd, pytest.raises(Unreachable):
        to_odd(odd.base_url).create(ada)


def test_update_understands_a_server_that_answers_200(ada: Person) -> None:
    body = b'{"id": "1", "externalId": "3f0c-ada", "userName": "u", "active": "False", "meta": {"version": "v2"}}'
    with odd_server(saying("200 OK", body)) as odd:
        seen = Account("a/b?c", ada.external_id, None, None, None, None, True, 'W/"7"')
        assert to_odd(odd.base_url).close(seen) == Account("1", ada.external_id, None, None, None, None, False, "v2")
    (request,) = odd.requests
    assert request.startswith(b"PATCH /v2/Users/a%2Fb%3Fc HTTP/1.1\r\n")
    assert b'If-Match: W/"7"\r\n' in request


def test_erase_removes_the_account_and_may_be_repeated(
    client: ScimClient, platform: RunningPlatform, ada: Person
) -> None:
    account = client.create(ada)
    client.erase(account)
    client.erase(account)
    assert platform.accounts() == []


def test_wrong_token_is_refused(platform: RunningPlatform, ada: Person) -> None:
    wrong = ScimClient(Connection(platform.base_url, "wrong"), new_session())
    with pytest.raises(Refused) as refusal:
        wrong.create(ada)
    assert refusal.value.code == "bad_token"


def test_limit_reached_is_refused(client: ScimClient, platform: RunningPlatform, ada: Person) -> None:
    platform.fault(Kind.REFUSE, times=1)
    with pytest.raises(Refused) as refusal:
        client.create(ada)
    assert refusal.value.code == "limit_reached"
    assert client.create(ada).active is True


def test_server_down_is_unreachable_for_a_read_and_unclear_for_a_write(
    client: ScimClient, platform: RunningPlatform, ada: Person
) -> None:
    platform.fault(Kind.DOWN)
    with pytest.raises(Unreachable):
        client.find(ada.external_id)
    with pytest.raises(Unclear):
        client.create(ada)
    platform.clear_faults()
    assert client.find(ada.external_id) is None


def test_too_many_requests_says_how_long_to_wait(client: ScimClient, platform: RunningPlatform, ada: Person) -> None:
    platform.fault(Kind.TOO_MANY, times=1, seconds=7)
    with pytest.raises(RateLimited) as limited:
        client.create(ada)
    assert limited.value.after == 7.0
    assert platform.accounts() == []


@pytest.mark.parametrize("kind", [Kind.ERROR_AFTER_CREATING, Kind.DROPPED_REPLY])
def test_created_without_a_good_answer_is_unclear_and_then_found(
    client: ScimClient, platform: RunningPlatform, ada: Person, kind: Kind
) -> None:
    platform.fault(kind, times=1)
    with pytest.raises(Unclear):
        client.create(ada)
    found = client.find(ada.external_id)
    assert found is not None
    assert client.create(ada) == found
    assert len(platform.accounts()) == 1


def test_slow_answer_to_a_write_is_unclear_and_then_found(
    client: ScimClient, platform: RunningPlatform, ada: Person
) -> None:
    platform.fault(Kind.SLOW, times=1, seconds=1.5)
    with pytest.raises(Unclear) as unclear:
        client.create(ada)
    assert unclear.value.code == "timeout"
    assert client.find(ada.external_id) is not None


def test_slow_answer_to_a_read_is_unreachable(client: ScimClient, platform: RunningPlatform) -> None:
    platform.fault(Kind.SLOW, times=1, seconds=1.5)
    with pytest.raises(Unreachable) as unreachable:
        client.find("anyone")
    assert unreachable.value.code == "timeout"


def test_client_survives_a_restart_of_the_server(ada: Person, tmp_path: Path) -> None:
    with new_session() as session:
        with running_platform(tmp_path / "accounts.jsonl") as first:
            port = first.server.server_port
            connection = Connection(first.base_url, first.token, 1.0, 1.0, 2.0)
            account = ScimClient(connection, session).create(ada)
        with running_platform(tmp_path / "accounts.jsonl", port=port):
            assert ScimClient(connection, session).find(ada.external_id) == account


def test_server_that_ignores_the_filter_is_not_believed(ada: Person) -> None:
    body = b'{"totalResults": 1, "Resources": [{"id": "1", "externalId": "other", "userName": "x"}]}'
    with odd_server(saying("200 OK", body)) as odd, pytest.raises(Refused) as refusal:
        to_odd(odd.base_url).find(ada.external_id)
    assert refusal.value.code == "filter_ignored"


def test_server_that_forgets_our_id_is_not_believed(ada: Person) -> None:
    body = b'{"id": "1", "userName": "x"}'
    with odd_server(saying("201 Created", body)) as odd, pytest.raises(Refused) as refusal:
        to_odd(odd.base_url).create(ada)
    assert refusal.value.code == "not_ours"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"totalResults": 1}',
        b'{"totalResults": 1, "Resources": [{"id": 7}]}',
        b'{"totalResults": 1, "Resources": {"id": "7"}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_answer_that_makes_no_sense_is_a_failed_read_and_an_unclear_write(ada: Person, body: bytes) -> None:
    with odd_server(saying("200 OK", body)) as odd:
        client = to_odd(odd.base_url)
        with pytest.raises(Unreachable) as unreachable:
            client.find(ada.external_id)
        with pytest.raises(Unclear) as unclear:
            client.create(ada)
    assert (unreachable.value.code, unclear.value.code) == ("bad_answer", "bad_answer")
