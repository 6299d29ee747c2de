"""Lists of SCIM servers that do it their own way; versions; and what a server says of itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from catalog.provider.client import Account, Connection, Person
from catalog.provider.errors import Refused, Unreachable
from catalog.provider.exchange import new_session
from catalog.provider.scim import ScimClient
from catalog.provider.trial import Mender, Step, StepName
from tests.catalog.provider.odd_server import OddServer, Talk, in_turn, odd_server, saying
from tests.platform_server import RunningPlatform


def to_odd(base_url: str) -> ScimClient:
    return ScimClient(Connection(base_url, "t", 5.0, 5.0, 15.0), new_session())


def user(number: int, **more: object) -> dict[str, object]:
    return {"id": f"r{number}", "externalId": f"e{number}", "userName": f"u{number}", **more}


def listing(total: object, users: list[dict[str, object]], **more: object) -> Talk:
    return saying("200 OK", json.dumps({"totalResults": total, "Resources": users, **more}).encode())


def asked(odd: OddServer) -> list[dict[str, list[str]]]:
    lines = [request.split(b" ")[1].decode() for request in odd.requests]
    return [parse_qs(urlsplit(line).query) for line in lines]


def read_all(client: ScimClient) -> list[str]:
    seen: list[str] = []
    page = client.page(None)
    while True:
        seen += [account.remote_id for account in page.accounts]
        if page.after is None:
            return seen
        page = client.page(page.after)


def test_real_server_is_read_to_the_end_a_part_at_a_time(
    client: ScimClient, platform: RunningPlatform, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.provider.scim.PAGE_SIZE", 2)
    made = [client.create(replace(ada, external_id=f"e{n}", email=f"u{n}@example.be")) for n in range(5)]
    assert sorted(read_all(client)) == sorted(account.remote_id for account in made)
    assert client.page(None).total == 5


def test_server_that_sends_fewer_than_asked_for_is_read_to_the_end() -> None:
    talk = in_turn(listing(3, [user(1)]), listing(3, [user(2)]), listing(3, [user(3)]))
    with odd_server(talk) as odd:
        assert read_all(to_odd(odd.base_url)) == ["r1", "r2", "r3"]
    assert [each["startIndex"] for each in asked(odd)] == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize(("totals", "parts"), [((3, 2), ["r1", "r2"]), ((2, 3, 3), ["r1", "r2", "r3"])])
def test_list_that_grows_or_shrinks_meanwhile_is_read_to_its_end(totals: tuple[int, ...], parts: list[str]) -> None:
    talk = in_turn(*(listing(total, [user(place)]) for place, total in enumerate(totals, 1)))
    with odd_server(talk) as odd:
        assert read_all(to_odd(odd.base_url)) == parts


@pytest.mark.parametrize(
    "again", [[user(1), user(2)], [user(2), user(1)], [user(9), user(1)]], ids=["same", "other order", "one came first"]
)
def test_server_that_sends_the_same_part_again_is_left(again: list[dict[str, object]]) -> None:
    talk = in_turn(listing(4, [user(1), user(2)]), listing(4, again))
    with odd_server(talk) as odd, pytest.raises(Refused) as refusal:
        read_all(to_odd(odd.base_url))
    assert (refusal.value.code, len(odd.requests)) == ("paging_ignored", 2)
    assert '"totalResults": 4' in refusal.value.answer


def test_list_that_ends_before_its_end_is_not_taken_for_whole() -> None:
    with odd_server(in_turn(listing(4, [user(1), user(2)]), listing(4, []))) as odd, pytest.raises(Refused) as refusal:
        read_all(to_odd(odd.base_url))
    assert refusal.value.code == "paging_ignored"


def test_empty_list_is_empty() -> None:
    with odd_server(saying("200 OK", b'{"totalResults": 0}')) as odd:
        page = to_odd(odd.base_url).page(None)
    assert (page.accounts, page.after, page.total) == ([], None, 0)


def test_accounts_without_an_id_of_ours_are_listed_too() -> None:
    with odd_server(listing(1, [{"id": "r1", "userName": "u"}])) as odd:
        page = to_odd(odd.base_url).page(None)
    assert page.accounts == [Account("r1", None, None, None, None, None, True)]


@pytest.mark.parametrize("total", [None, "3", 1.5, True])
def test_list_that_does_not_say_how_long_it_is_cannot_be_read(total: object) -> None:
    with odd_server(listing(total, [user(1)])) as odd, pytest.raises(Unreachable) as unreachable:
        to_odd(odd.base_url).page(None)
    assert unreachable.value.code == "bad_answer"


# --- Looking for many ---


def test_many_are_looked_for_at_once_and_over_several_parts() -> None:
    with odd_server(in_turn(listing(3, [user(1), user(2)]), listing(3, [user(3)]))) as odd:
        found = to_odd(odd.base_url).find_many(["e1", "e2", "e3"])
    assert [account.remote_id for account in found] == ["r1", "r2", "r3"]
    wanted = 'externalId eq "e1" or externalId eq "e2" or externalId eq "e3"'
    assert asked(odd) == [{"filter": [wanted]}, {"filter": [wanted], "startIndex": ["3"]}]


@pytest.mark.parametrize(
    ("talk", "code"),
    [
        (lambda: listing(1, [user(9)]), "filter_ignored"),
        (lambda: in_turn(listing(2, [user(1)]), listing(2, [user(1)])), "paging_ignored"),
    ],
    ids=["filter", "paging"],
)
def test_answers_that_were_not_asked_for_are_not_believed(talk: Callable[[], Talk], code: str) -> None:
    with odd_server(talk()) as odd, pytest.raises(Refused) as refusal:
        to_odd(odd.base_url).find_many(["e1", "e2"])
    assert refusal.value.code == code


# --- Versions ---


@pytest.mark.parametrize(
    ("header", "body", "sent"),
    [
        ('W/"1"', 'W/"1"', 'W/"1"'),
        ('"1"', None, '"1"'),
        (None, '"1"', '"1"'),
        ('W/"1"', '"1"', '"1"'),  # weakened on the way
        ('"1"', "1", '"1"'),
        (None, "1", "1"),
        (None, None, None),
    ],
)
def test_version_goes_back_as_the_server_knows_it(header: str | None, body: str | None, sent: str | None) -> None:
    seen = Account("r1", "e1", None, None, None, None, True)
    told = json.dumps(user(1, meta={"version": body} if body else {})).encode()
    talk = saying("200 OK", told, *([f"ETag: {header}"] if header else []))
    with odd_server(talk) as odd:
        client = to_odd(odd.base_url)
        client.close(client.close(seen))
    headers = [line for line in odd.requests[1].split(b"\r\n") if line.startswith(b"If-Match")]
    assert headers == ([f"If-Match: {sent}".encode()] if sent else [])


@pytest.mark.parametrize("status", ["200 OK", "202 Accepted", "204 No Content", "404 Not Found"])
def test_erasing_is_done_whatever_a_server_calls_it(status: str) -> None:
    with odd_server(saying(status)) as odd:
        to_odd(odd.base_url).erase(Account("r1", "e1", None, None, None, None, True))
    assert odd.requests[0].startswith(b"DELETE /v2/Users/r1 HTTP/1.1\r\n")


# --- What a server says of itself ---

NOBODY = listing(0, [])


def walked(about_itself: Talk, *others: Talk) -> list[Step]:
    with odd_server(in_turn(about_itself, *(others or (NOBODY, NOBODY)))) as odd:
        return list(to_odd(odd.base_url).try_out())


def test_real_server_says_what_it_can(client: ScimClient) -> None:
    (abilities,) = [step for step in client.try_out() if step.name == StepName.ABILITIES]
    assert (set(abilities.says) >= {"patch", "filter", "etag"}, abilities.lacks) == (True, ())


def test_server_that_says_nothing_of_itself_is_tried_all_the_same() -> None:
    steps = walked(saying("404 Not Found"))
    assert [step.name for step in steps if not step.is_good] == []
    assert steps[-1].name == StepName.LIST


def test_server_that_says_that_it_lacks_what_we_need_is_told_so_and_tried_all_the_same() -> None:
    told = {"patch": {"supported": False}, "filter": {"supported": True}, "etag": {"supported": "yes"}}
    steps = walked(saying("200 OK", json.dumps(told).encode()))
    bad = [step for step in steps if not step.is_good]
    abilities = StepName.ABILITIES
    assert bad == [Step(abilities, "not_supported", mender=Mender.PROVIDER, says=("filter",), lacks=("patch",))]
    assert steps[-1].name == StepName.LIST


def test_server_that_ignores_the_filter_fails_the_look() -> None:
    steps = walked(saying("200 OK", b"{}"), listing(1, [user(9)]))
    assert (steps[-1].name, steps[-1].trouble, steps[-1].mender) == ("look", "filter_ignored", Mender.PROVIDER)


def test_server_of_another_address_fails_to_answer() -> None:
    steps = walked(saying("200 OK", b"<html>Welcome</html>", "Content-Type: text/html"))
    assert (steps[-1].name, steps[-1].trouble, steps[-1].mender) == ("answer", "bad_answer", Mender.OPERATOR)
    assert steps[-1].answer == "GET /ServiceProviderConfig → 200\nContent-Type: text/html\nWelcome"


def test_server_that_hangs_up_fails_to_answer() -> None:
    def hang_up(connection: socket.socket) -> None:
        """Closes without a word."""

    steps = walked(hang_up)
    assert (steps[-1].name, steps[-1].trouble, steps[-1].failure) == ("answer", "connection_lost", "closed")
