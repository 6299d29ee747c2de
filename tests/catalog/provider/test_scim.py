"""The client against a real SCIM server over loopback."""

from dataclasses import replace

import pytest

from catalog.provider.client import Account, Connection, Person
from catalog.provider.errors import Refused, Unclear, Unreachable
from catalog.provider.exchange import new_session
from catalog.provider.scim import ScimClient
from tests.catalog.provider.odd_server import in_turn, odd_server, saying
from tests.platform_server import Kind, RunningPlatform

USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def to_odd(base_url: str) -> ScimClient:
    return ScimClient(Connection(base_url, "t", 5.0, 5.0, 15.0), new_session())


def test_create_opens_an_active_account_with_the_data(
    client: ScimClient, platform: RunningPlatform, ada: Person
) -> None:
    account = client.create(ada)
    (held,) = platform.accounts()
    assert account == Account(held["id"], ada.external_id, ada.email, "Ada", "Peeters", "nl", True, held["version"])
    assert (held["name"], held["language"], held["active"]) == ("Ada Peeters", "nl-BE", True)


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
    assert updated == Account(held["id"], ada.external_id, moved.email, "Ada-Lou", "Claes", "fr", True, held["version"])
    assert (held["name"], held["language"]) == ("Ada-Lou Claes", "fr-BE")


def test_update_without_a_version_still_works(client: ScimClient, ada: Person) -> None:
    seen = replace(client.create(ada), version=None)
    assert client.close(seen).active is False


def test_update_of_a_stale_version_is_unclear(client: ScimClient, ada: Person) -> None:
    stale = client.create(ada)
    client.close(stale)
    with pytest.raises(Unclear) as unclear:
        client.open(stale, ada)
    assert unclear.value.code == "changed_meanwhile"


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


def test_limit_reached_is_refused(client: ScimClient, platform: RunningPlatform, ada: Person) -> None:
    platform.fault(Kind.REFUSE, times=1)
    with pytest.raises(Refused) as refusal:
        client.create(ada)
    assert refusal.value.code == "limit_reached"
    assert client.create(ada).active is True


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


def test_scim_knows_no_courses() -> None:
    client = ScimClient(Connection("http://127.0.0.1:9/v2", "token"), new_session())
    with pytest.raises(Refused, match="not_supported"):
        client.courses()
