"""What a library's system, or what stands between, does wrong: never an exception, never a good card, never late."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from time import monotonic

import pytest

from libraries.cards import sip2_pool
from libraries.cards.checks import Answer, Outcome, Question, Step, StepName, Trouble
from libraries.cards.sip2_check import Sip2Check
from tests.certificates import Authority
from tests.sip2_server import Peer, Script, Sip2Server, answering, numbered, patron, serving

QUESTION = Question(number="2100", pin="1234", last_name="Peeters", on=date(2026, 7, 1))
CONFIRMED = Answer(Outcome.CONFIRMED)
LOGIN = {"login": "ada", "login_secret": "right"}


@pytest.fixture(autouse=True)
def _no_connection_is_left() -> Iterator[None]:
    yield
    sip2_pool.close_all()


def no_answer(trouble: Trouble) -> Answer:
    return Answer(Outcome.NO_ANSWER, trouble=trouble)


def ask(server: Sip2Server, **facts: object) -> Answer:
    return Sip2Check(server.facts(**facts)).ask(QUESTION)


def sending(make: Callable[[bytes], bytes], *, then_closes: bool = False) -> Script:
    def script(peer: Peer, question: bytes) -> None:
        peer.send(make(question))
        if then_closes:
            peer.close()

    return script


def good(question: bytes) -> bytes:
    return numbered(patron(), question)


def next_sequence(question: bytes) -> bytes:
    return question[:-7] + b"%d" % ((int(question[-7:-6]) + 1) % 10) + question[-6:]


FAULTS: dict[str, tuple[Script, Trouble]] = {
    "closes after login": (lambda peer, question: peer.close(), Trouble.CLOSED),
    "never answers": (lambda peer, question: None, Trouble.TIMED_OUT),
    "garbage": (sending(lambda question: b"\x00\xff\x16\x03 garbage \xfe\r"), Trouble.GARBLED),
    "speaks HTTP": (sending(lambda question: b"HTTP/1.1 400 Bad Request\r\n\r\n"), Trouble.GARBLED),
    "cut and closed": (sending(lambda question: good(question)[:60], then_closes=True), Trouble.GARBLED),
    "cut and silent": (sending(lambda question: good(question)[:60]), Trouble.TIMED_OUT),
    "cut with an end": (sending(lambda question: good(question)[:60] + b"\r"), Trouble.INCOMPLETE),
    "two frames": (sending(lambda question: good(question) * 2), Trouble.GARBLED),
    "more behind it": (sending(lambda question: good(question) + b"24"), Trouble.GARBLED),
    "wrong sequence number": (sending(lambda question: good(next_sequence(question))), Trouble.GARBLED),
    "bad checksum": (sending(lambda question: good(question)[:-5] + b"0000\r"), Trouble.GARBLED),
    "no checksum": (sending(lambda question: patron().encode() + b"\r"), Trouble.INCOMPLETE),
    "another code": (answering("941"), Trouble.GARBLED),
    "another card": (answering(patron("2101")), Trouble.OTHER_CARD),
    "no word about the PIN": (answering(patron(rest="BLY|")), Trouble.INCOMPLETE),
    "no word about the card": (answering(patron(rest="CQY|")), Trouble.INCOMPLETE),
    "too long": (sending(lambda question: b"24" + b" " * 20_000), Trouble.GARBLED),
    "asks again for ever": (sending(lambda question: b"96AZFEF6\r"), Trouble.GARBLED),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_no_answer_and_its_connection_is_never_used_again(fault: str) -> None:
    script, trouble = FAULTS[fault]
    broken = True

    def once_broken(peer: Peer, question: bytes) -> None:
        script(peer, question) if broken else peer.send(good(question))

    with serving(once_broken) as server:
        facts = {**LOGIN, "timeout_seconds": 0.15 if trouble == Trouble.TIMED_OUT else 2}
        assert ask(server, **facts) == no_answer(trouble)
        assert server.connections == 1
        broken = False
        assert ask(server, **facts) == CONFIRMED
        assert server.connections == 2


def test_frame_is_sent_again_as_it_was_when_the_system_asks_for_it() -> None:
    def script(peer: Peer, question: bytes) -> None:
        peer.send(good(question) if peer.count == 6 else b"96AZFEF6\r")

    with serving(script) as server:
        assert ask(server) == CONFIRMED
        assert len(server.questions) == 6
        assert len(set(server.questions)) == 1


def test_frame_is_sent_again_five_times_at_most() -> None:
    with serving(sending(lambda question: b"96AZFEF6\r")) as server:
        assert ask(server) == no_answer(Trouble.GARBLED)
        assert len(server.questions) == 6


@pytest.mark.parametrize("before", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("behind", [b"", b"\n", b"\r\n"])
def test_line_ends_around_a_frame_do_no_harm(before: bytes, behind: bytes) -> None:
    with serving(sending(lambda question: before + good(question) + behind)) as server:
        assert [ask(server) for _ in range(3)] == [CONFIRMED] * 3


def test_answer_in_pieces_is_put_together() -> None:
    def script(peer: Peer, question: bytes) -> None:
        for byte in good(question):
            peer.send(bytes([byte]))

    with serving(script) as server:
        assert ask(server) == CONFIRMED


@pytest.mark.parametrize("answers_login", [True, False])
def test_system_that_drips_is_given_up_when_the_time_is_over(answers_login: bool) -> None:
    def script(peer: Peer, question: bytes) -> None:
        for byte in good(question):
            peer.send(bytes([byte]))
            server.wait(0.02)

    with serving(script, answers_login=answers_login) as server:
        started = monotonic()
        assert ask(server, timeout_seconds=0.2, **LOGIN) == no_answer(Trouble.TIMED_OUT)
        assert monotonic() - started < 0.35


def test_system_that_sends_line_ends_for_ever_is_given_up() -> None:
    def script(peer: Peer, question: bytes) -> None:
        while True:
            peer.send(b"\r\n" * 100)

    with serving(script) as server:
        assert ask(server, timeout_seconds=0.2) == no_answer(Trouble.TIMED_OUT)


# --- The login ---


def test_login_is_sent_once_for_a_connection_and_before_all_else() -> None:
    with serving(answering(patron())) as server:
        assert [ask(server, location="CPL", **LOGIN) for _ in range(2)] == [CONFIRMED] * 2
        assert [question[:2] for question in server.questions] == [b"93", b"23", b"23"]
        assert server.questions[0].startswith(b"9300CNada|COright|CPCPL|AY0AZ")


def test_refused_login_asks_nothing() -> None:
    with serving(answering(patron())) as server:
        assert ask(server, login="ada", login_secret="wrong") == no_answer(Trouble.LOGIN_REFUSED)
        assert server.cards_asked == []


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        (lambda peer, question: peer.close(), Trouble.CLOSED),
        (lambda peer, question: None, Trouble.TIMED_OUT),
        (answering("942"), Trouble.GARBLED),
        (answering(patron()), Trouble.GARBLED),
    ],
)
def test_login_without_a_clean_answer_asks_nothing(script: Script, trouble: Trouble) -> None:
    with serving(script, answers_login=False) as server:
        assert ask(server, timeout_seconds=0.2, **LOGIN) == no_answer(trouble)
        assert server.cards_asked == []


def test_missing_secret_connects_nowhere() -> None:
    with serving(answering(patron())) as server:
        assert ask(server, missing_secrets=True) == no_answer(Trouble.SECRET_MISSING)
        assert server.connections == 0


# --- The way there ---


def test_system_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with serving(answering(patron())) as server:
        assert ask(server, port=port) == no_answer(Trouble.REFUSED)
        assert ask(server, private=False) == no_answer(Trouble.ADDRESS_FORBIDDEN)
        assert ask(server, address="a..b") == no_answer(Trouble.ADDRESS_UNUSABLE)
        assert server.connections == 0


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """The one that is trusted here."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    return authority


def ask_with_tls(context: ssl.SSLContext | None, address: str = "localhost") -> tuple[Answer, int]:
    with serving(answering(patron()), context) as server:
        answer = ask(server, tls=True, address=address)
        return answer, len(server.questions)


def test_good_certificate_is_taken(authority: Authority) -> None:
    assert ask_with_tls(authority.server()) == (CONFIRMED, 1)
    assert ask_with_tls(authority.server("127.0.0.1"), "127.0.0.1") == (CONFIRMED, 1)


def test_certificate_must_be_in_date_for_this_name_and_from_whom_we_trust(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "Stranger")
    for context, address, trouble in [
        (authority.server(starts=-20, ends=-1), "localhost", Trouble.TLS_EXPIRED),
        (authority.server(starts=1, ends=20), "localhost", Trouble.TLS_EXPIRED),
        (authority.server("other.example"), "localhost", Trouble.TLS_OTHER_NAME),
        (authority.server("127.0.0.2"), "127.0.0.1", Trouble.TLS_OTHER_NAME),
        (authority.server("localhost"), "127.0.0.1", Trouble.TLS_OTHER_NAME),
        (stranger.server(), "localhost", Trouble.TLS_UNTRUSTED),
    ]:
        assert ask_with_tls(context, address) == (no_answer(trouble), 0)


def test_system_that_is_not_encrypted_is_asked_nothing(authority: Authority) -> None:
    with serving(answering(patron())) as server:
        assert ask(server, tls=True, address="localhost") == no_answer(Trouble.TLS_FAILED)
        assert b"2100" not in b"".join(server.questions)


def test_system_that_never_shakes_hands_is_given_up(authority: Authority) -> None:
    with serving(lambda peer, question: None) as server:
        started = monotonic()
        assert ask(server, tls=True, timeout_seconds=0.2) == no_answer(Trouble.TIMED_OUT)
        assert monotonic() - started < 0.35


def test_encrypted_connection_is_kept_and_found_dead(authority: Authority) -> None:
    with serving(answering(patron()), authority.server()) as server:
        facts = {"tls": True, "address": "localhost"}
        assert [ask(server, **facts) for _ in range(3)] == [CONFIRMED] * 3
        assert server.connections == 1
        server.close_peers()
        assert ask(server, **facts) == CONFIRMED
        assert server.connections == 2


# --- Step by step ---


def steps_of(server: Sip2Server, question: Question | None = None, **facts: object) -> list[tuple[str, str | None]]:
    walk = Sip2Check(server.facts(**facts)).walk(question)
    return [(step.name.value, step.trouble and step.trouble.value) for step in walk.steps]


ALL = ["settings", "resolve", "connect", "tls", "login", "status", "card"]


def test_walk_goes_step_by_step(authority: Authority) -> None:
    with serving(answering(patron()), authority.server()) as server:
        check = Sip2Check(server.facts(tls=True, address="localhost", **LOGIN))
        walk = check.walk(QUESTION)
        assert walk.steps == tuple(Step(StepName(name)) for name in ALL)
        assert walk.answer == CONFIRMED
        assert check.walk(None).answer is None
        assert [step.name.value for step in check.walk(None).steps] == ALL[:-1]


def test_walk_leaves_out_what_the_settings_do_not_have() -> None:
    with serving(answering(patron())) as server:
        assert [name for name, _ in steps_of(server, QUESTION)] == ["settings", "resolve", "connect", "status", "card"]


def test_walk_ends_at_the_step_that_failed(authority: Authority) -> None:
    with serving(answering(patron("2101"))) as server:

        def last(**facts: object) -> tuple[str, str | None]:
            *before, last = steps_of(server, QUESTION, **{**LOGIN, **facts})
            assert all(trouble is None for _, trouble in before)
            return last

        assert last(missing_secrets=True) == ("settings", "secret_missing")
        assert last(location="a|b") == ("settings", "address_unusable")
        assert last(institution_code="a\rb") == ("settings", "address_unusable")
        assert last(private=False) == ("resolve", "address_forbidden")
        assert last(port=1) == ("connect", "refused")
        assert last(login_secret="wrong") == ("login", "login_refused")
        assert last() == ("card", "other_card")
        assert last(tls=True) == ("tls", "tls_failed")


@pytest.mark.parametrize(
    ("online", "supported", "settings", "trouble"),
    [
        ("Y", "YNNNNNNNNNNNNNNN", {}, None),
        ("Y", "NYYYYYYYYYYYYYYY", {}, Trouble.CANNOT_ASK),
        ("Y", "NNNNNNNYNNNNNNNN", {"asks_expiry": True}, None),
        ("Y", "YYYYYYYNYYYYYYYY", {"asks_expiry": True}, Trouble.CANNOT_ASK),
        # Whatever is asked without a PIN is asked with 63.
        ("Y", "YNNNNNNYNNNNNNNN", {"looks_up": True}, None),
        ("Y", "YYYYYYYNYYYYYYYY", {"looks_up": True}, Trouble.CANNOT_ASK),
        ("Y", "NYYYYYYYYYYYYYYY", {"looks_up": True}, Trouble.CANNOT_ASK),
        ("Y", "NNNNNNNYNNNNNNNN", {"asks_pin": False}, None),
        ("Y", "YYYYYYYNYYYYYYYY", {"asks_pin": False}, Trouble.CANNOT_ASK),
        ("N", "YYYYYYYYYYYYYYYY", {}, Trouble.OFFLINE),
    ],
)
def test_walk_asks_whether_the_system_can_be_asked(
    online: str, supported: str, settings: dict[str, bool], trouble: Trouble | None
) -> None:
    body = f"98{online}YYYYN10000320260701    1200002.00AOcity|BX{supported}|"
    with serving(answering(body), answers_login=False) as server:
        walk = Sip2Check(server.facts(**settings)).walk(None)
        assert walk.steps[-1] == Step(StepName.STATUS, trouble)


def test_walk_closes_its_connection_and_uses_none_that_is_kept() -> None:
    with serving(answering(patron())) as server:
        assert ask(server) == CONFIRMED
        Sip2Check(server.facts()).walk(QUESTION)
        Sip2Check(server.facts()).walk(None)
        assert server.connections == 3
        assert server.opens_at_last(1)
