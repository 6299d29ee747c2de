"""What is wrong with an answer is known when its turn ends, whatever its status: the breaker learns of it there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from catalog.provider.client import Account, Connection, Person
from catalog.provider.errors import ProviderError
from catalog.provider.exchange import new_session
from catalog.provider.moodle import MoodleClient
from catalog.provider.scim import ScimClient
from tests.catalog.provider.odd_server import Talk, odd_server, saying

HTML = saying("200 OK", b"<h1>We are back soon</h1>")


def ends_of(kind: type[ScimClient | MoodleClient], talk: Talk, ask: Callable[..., object]) -> list[str]:
    """How each turn ended: with the code of an error, or with nothing."""
    ends: list[str] = []

    @contextmanager
    def turn(*, writes: bool) -> Iterator[None]:
        try:
            yield
        except ProviderError as error:
            ends.append(error.code)
            raise
        ends.append("")

    with odd_server(talk) as odd, new_session() as session, pytest.raises(ProviderError) as caught:
        ask(kind(Connection(odd.base_url, "a-token", turn=turn), session))
    assert caught.value.code == next(end for end in ends if end)
    return ends


def test_page_in_words_instead_of_an_answer_ends_the_turn_so(ada: Person) -> None:
    seen = Account("7", ada.external_id, ada.email, "Ada", "Peeters", "nl", True)
    for ask in (lambda c: c.find(ada.external_id), lambda c: c.create(ada), lambda c: c.open(seen, ada)):
        assert ends_of(ScimClient, HTML, ask) == ["bad_answer"]
    assert ends_of(MoodleClient, HTML, lambda c: c.find(ada.external_id)) == ["bad_answer"]


@pytest.mark.parametrize(
    ("errorcode", "code"),
    [("invalidtoken", "bad_token"), ("sitemaintenance", "server_error"), ("dmlreadexception", "server_error")],
)
def test_error_that_moodle_answers_with_200_ends_the_turn_so(ada: Person, errorcode: str, code: str) -> None:
    answer = json.dumps({"exception": "moodle_exception", "errorcode": errorcode, "message": "No."}).encode()
    talk = saying("200 OK", answer, "Content-Type: application/json")
    assert ends_of(MoodleClient, talk, lambda c: c.find(ada.external_id)) == [code]
