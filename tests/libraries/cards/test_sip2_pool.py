"""Connections that are kept: few, for one institution, and never one on which anything went wrong."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from time import monotonic

import pytest

from libraries.cards import sip2, sip2_pool
from libraries.cards.checks import Answer, Outcome, Question, Trouble
from libraries.cards.sip2 import NoCleanAnswer
from libraries.cards.sip2_check import Sip2Check
from tests.sip2_server import Peer, Script, Sip2Server, answering, numbered, patron, serving, value

QUESTION = Question(number="2100", pin="1234", last_name="Peeters", on=date(2026, 7, 1))
CONFIRMED = Answer(Outcome.CONFIRMED)
NOT_GOOD = (Answer(Outcome.UNKNOWN_OR_WRONG), Answer(Outcome.NO_ANSWER, trouble=Trouble.GARBLED))
CLOSED = Answer(Outcome.NO_ANSWER, trouble=Trouble.CLOSED)


@pytest.fixture(autouse=True)
def _no_connection_is_left() -> Iterator[None]:
    yield
    sip2_pool.close_all()


def ask(server: Sip2Server, number: str = "2100", pin: str = "1234", **facts: object) -> Answer:
    return Sip2Check(server.facts(**facts)).ask(replace(QUESTION, number=number, pin=pin))


def closing_on(*questions: int) -> Script:
    """Closes instead of answering the so manieth question of a connection."""

    def script(peer: Peer, question: bytes) -> None:
        peer.close() if peer.count in questions else peer.send(numbered(patron(), question))

    return script


def test_connection_is_kept_for_the_next_question() -> None:
    with serving(answering(patron())) as server:
        assert [ask(server) for _ in range(12)] == [CONFIRMED] * 12
        assert server.connections == 1
        assert [question[-7:-6] for question in server.questions] == list(map(b"%d".__mod__, [*range(10), 0, 1]))


def test_connection_that_was_closed_meanwhile_is_replaced() -> None:
    with serving(answering(patron())) as server:
        assert ask(server) == CONFIRMED
        server.close_peers()
        assert server.opens_at_last(0)
        assert ask(server) == CONFIRMED
        assert (server.connections, len(server.questions)) == (2, 2)


def test_question_is_asked_anew_once_when_a_kept_connection_dies_with_it() -> None:
    with serving(closing_on(2)) as server:
        assert ask(server) == CONFIRMED
        assert ask(server) == CONFIRMED
        assert (server.connections, len(server.questions)) == (2, 3)


def test_question_is_not_asked_a_third_time() -> None:
    broken = False

    def script(peer: Peer, question: bytes) -> None:
        peer.close() if broken else peer.send(numbered(patron(), question))

    with serving(script) as server:
        assert ask(server) == CONFIRMED
        broken = True
        assert ask(server) == CLOSED
        assert (server.connections, len(server.questions)) == (2, 3)


def test_new_connection_that_dies_is_not_replaced() -> None:
    with serving(closing_on(1)) as server:
        assert ask(server) == CLOSED
        assert (server.connections, len(server.questions)) == (1, 1)


def test_kept_connection_that_is_silent_is_not_replaced() -> None:
    """The question may have arrived: it is not asked twice."""

    def script(peer: Peer, question: bytes) -> None:
        if peer.count == 1:
            peer.send(numbered(patron(), question))

    with serving(script) as server:
        assert ask(server, timeout_seconds=0.1) == CONFIRMED
        assert ask(server, timeout_seconds=0.1) == Answer(Outcome.NO_ANSWER, trouble=Trouble.TIMED_OUT)
        assert (server.connections, len(server.questions)) == (1, 2)


def test_kept_connection_that_answers_badly_is_not_replaced() -> None:
    def script(peer: Peer, question: bytes) -> None:
        peer.send(numbered(patron(), question) if peer.count == 1 else b"garbage\r")

    with serving(script) as server:
        assert ask(server) == CONFIRMED
        assert ask(server) == Answer(Outcome.NO_ANSWER, trouble=Trouble.GARBLED)
        assert (server.connections, len(server.questions)) == (1, 2)


@pytest.mark.parametrize("checksums", [True, False])
def test_late_answer_is_never_taken_for_the_next_one(checksums: bool) -> None:
    """A right PIN whose answer comes twice, the second time late; then a wrong one."""

    def script(peer: Peer, question: bytes) -> None:
        body = patron(rest="BLY|CQY|" if value(question, b"AD") == "1234" else "BLY|CQN|")
        answer = numbered(body, question) if checksums else body.encode() + b"\r"
        peer.send(answer)
        server.wait(0.02)
        peer.send(answer)
        peer.send(answer)

    with serving(script) as server:
        assert ask(server, checksums=checksums) == CONFIRMED
        assert ask(server, pin="4321", checksums=checksums) in NOT_GOOD
        server.wait(0.03)
        assert ask(server, checksums=checksums) == CONFIRMED
        server.wait(0.03)
        assert ask(server, pin="4321", checksums=checksums) == Answer(Outcome.UNKNOWN_OR_WRONG)


def test_without_numbers_a_connection_is_used_once() -> None:
    with serving(lambda peer, question: peer.send(patron().encode() + b"\r")) as server:
        assert [ask(server, checksums=False) for _ in range(2)] == [CONFIRMED] * 2
        assert server.connections == 2
        assert server.opens_at_last(0)


def test_changed_settings_use_no_old_connection() -> None:
    with serving(answering(patron())) as server:
        login = {"login": "ada", "login_secret": "right"}
        assert ask(server, **login) == CONFIRMED
        assert ask(server, login="ada", login_secret="old").trouble == Trouble.LOGIN_REFUSED
        assert server.opens_at_last(0)
        assert ask(server, **login) == CONFIRMED
        assert server.connections == 3


def test_connection_in_use_is_closed_when_the_settings_change_meanwhile() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def script(peer: Peer, question: bytes) -> None:
        if value(question, b"AO") == "old":
            asked.set()
            go_on.wait(2)
        peer.send(numbered(patron(), question))

    with serving(script) as server, ThreadPoolExecutor(1) as executor:
        old = executor.submit(ask, server, institution_code="old")
        assert asked.wait(2)
        assert ask(server, institution_code="new") == CONFIRMED
        go_on.set()
        assert old.result() == CONFIRMED
        assert server.opens_at_last(1)


def test_institutions_share_no_connection() -> None:
    with serving(answering(patron())) as server:
        assert [ask(server, institution_id=number) for number in (-1, -2, -1)] == [CONFIRMED] * 3
        assert server.connections == 2


def test_no_more_connections_than_the_system_allows() -> None:
    """All are answered, each with the answer to their own question."""

    def script(peer: Peer, question: bytes) -> None:
        server.wait(0.005)
        number = value(question, b"AA")
        peer.send(numbered(patron(number, rest="BLY|CQY|" if int(number) % 2 else "BLY|CQN|"), question))

    with serving(script) as server, ThreadPoolExecutor(24) as executor:
        answers = list(executor.map(lambda n: ask(server, str(n), most_connections=3), range(120)))
        assert answers == [Answer(Outcome.UNKNOWN_OR_WRONG), CONFIRMED] * 60
        assert len(server.questions) == 120
        assert (server.connections, server.most_open) == (3, 3)


def test_waiting_for_a_connection_ends_with_the_time() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def script(peer: Peer, question: bytes) -> None:
        asked.set()
        go_on.wait(2)
        peer.send(numbered(patron(), question))

    with serving(script) as server, ThreadPoolExecutor(1) as executor:
        facts = server.facts(most_connections=1)
        first = executor.submit(Sip2Check(facts).ask, QUESTION)
        assert asked.wait(2)
        started = monotonic()
        with pytest.raises(NoCleanAnswer, match=r"^busy$"):
            sip2_pool.ask(facts, sip2.ask_status(encoding="cp850"), started + 0.1)
        assert 0.1 <= monotonic() - started < 0.2
        go_on.set()
        assert first.result() == CONFIRMED
        assert Sip2Check(facts).ask(QUESTION) == CONFIRMED


def test_place_is_free_again_after_every_fault() -> None:
    with serving(lambda peer, question: peer.close()) as server:
        assert [ask(server, most_connections=1) for _ in range(4)] == [CLOSED] * 4
        assert [ask(server, most_connections=1, private=False).trouble for _ in range(3)] == [
            Trouble.ADDRESS_FORBIDDEN
        ] * 3


def test_connection_that_was_idle_too_long_is_closed_also_by_another_institutions_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serving(answering(patron())) as server, serving(answering(patron())) as other:
        assert ask(server) == CONFIRMED
        monkeypatch.setattr(sip2_pool, "IDLE_SECONDS", 0.0)
        assert ask(other) == CONFIRMED
        assert server.opens_at_last(0)
        assert ask(server) == CONFIRMED
        assert server.connections == 2


def test_forked_process_uses_connections_of_its_own() -> None:
    with serving(answering(patron())) as server:
        assert ask(server) == CONFIRMED
        if (child := os.fork()) == 0:
            os._exit(0 if ask(server) == CONFIRMED else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert server.connections == 2
        assert ask(server) == CONFIRMED
        assert server.connections == 2
