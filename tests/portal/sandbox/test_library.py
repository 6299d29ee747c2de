"""The sandbox's library system, byte by byte: it answers as such systems do, those that were recorded among them."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest

from portal.sandbox.library_cards import CARDS, LibraryCard, cards_of
from tests.library_server import (
    INSTITUTION,
    PASSWORD,
    USER,
    Condition,
    Kind,
    RunningLibrary,
    a_card,
    library,
    running_library,
)

__all__ = ["library"]

ROOT = Path(__file__).resolve().parents[3]
LOGIN = f"9300CN{USER}|CO{PASSWORD}|CPonline|"
WHEN = "20261129    101112"


class Terminal:
    """Speaks to the server as a self-service machine would; nothing of the portal's own client is in it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.sequence = 0

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def tell(self, message: str) -> bytes:
        """The answer to a message without AY, AZ and its end, which are added."""
        frame = signed(message, self.sequence)
        self.sequence = (self.sequence + 1) % 10
        return self.send(frame)

    def send(self, frame: bytes) -> bytes:
        self.socket.sendall(frame)
        return self.read()

    def read(self) -> bytes:
        """One frame; what there was before the connection was closed."""
        answer = b""
        while not answer.endswith(b"\r") and (piece := self.socket.recv(1)):
            answer += piece
        return answer


def signed(message: str, sequence: int) -> bytes:
    numbered = f"{message}AY{sequence}AZ".encode("cp850")
    return numbered + f"{-sum(numbered) & 0xFFFF:04X}\r".encode()


@contextmanager
def logged_in(library: RunningLibrary) -> Iterator[Terminal]:
    with Terminal(library.port) as terminal:
        assert terminal.tell(LOGIN) == signed("941", 0)
        yield terminal


def status(card: LibraryCard, pin: str | None = None) -> str:
    return f"23001{WHEN}AO{INSTITUTION}|AA{card.number}|AC|AD{card.pin if pin is None else pin}|"


def information(card: LibraryCard) -> str:
    return f"63001{WHEN}          AO{INSTITUTION}|AA{card.number}|AC|AD{card.pin}|"


def without_time(answer: bytes) -> str:
    """What stands between the code and the end, with the server's time and its checksum taken out."""
    assert answer.endswith(b"\r")
    assert f"{-sum(answer[:-5]) & 0xFFFF:04X}\r".encode() == answer[-5:]
    return re.sub(r"\d{8} {4}\d{6}", "…", answer[:-5].decode("cp850"), count=1)


# --- Signing in ---


def test_login_is_accepted_and_refused_with_the_bytes_of_the_protocol(library: RunningLibrary) -> None:
    with Terminal(library.port) as terminal:
        assert terminal.tell(LOGIN) == b"941AY0AZFDFD\r"
    with Terminal(library.port) as terminal:
        assert terminal.tell(f"9300CN{USER}|COwrong|CPonline|") == b"940AY0AZFDFE\r"
        assert terminal.read() == b""


def test_nothing_is_told_before_the_login(library: RunningLibrary) -> None:
    with Terminal(library.port) as terminal:
        assert terminal.tell(status(a_card())) == b""


def test_status_says_which_questions_are_answered(library: RunningLibrary) -> None:
    with logged_in(library) as terminal:
        answer = without_time(terminal.send(b"9900802.00AY1AZFCA0\r"))
    # 23, resend, status, 93 and 63
    assert answer == f"98YNNNNY030003…2.00AO{INSTITUTION}|BXYNNNYYYYNNNNNNNN|AY1AZ"


# --- Cards ---


def test_there_are_320_cards_of_every_condition_and_always_the_same() -> None:
    assert Counter(card.condition for card in CARDS.values()) == {
        "good": 224, "child": 16, "expired": 16, "over": 8, "blocked": 16, "lost": 16, "fines": 8, "gone": 8,
        "without_pin": 8,
    }  # fmt: skip
    first = a_card()
    assert (first.number, first.pin, first.name) == ("28500001", "1236", "Anke Vandenbroucke")


@pytest.mark.parametrize(
    ("condition", "flags", "valid"),
    [
        (Condition.GOOD, " " * 14, "Y"),
        (Condition.CHILD, " " * 14, "Y"),
        (Condition.EXPIRED, "YYYY          ", "Y"),
        (Condition.OVER, " " * 14, "Y"),
        (Condition.BLOCKED, "YYYY          ", "Y"),
        (Condition.LOST, "YYYYY         ", "Y"),
        (Condition.FINES, "          Y   ", "Y"),
        (Condition.GONE, "YYYY          ", "N"),
    ],
)
def test_status_of_each_condition(condition: Condition, flags: str, valid: str, library: RunningLibrary) -> None:
    card = a_card(condition)
    says = "".join(f"AF{line}|" for line in card.says)
    told = f"24{flags}001…AO{INSTITUTION}|AA{card.number}|AE{card.name}|BL{valid}|"
    with logged_in(library) as terminal:
        assert without_time(terminal.tell(status(card))) == f"{told}CQY|{says}AY1AZ"
        assert without_time(terminal.tell(status(card, "not it"))) == f"{told}CQN|{says}AY2AZ"


def test_unknown_card_is_answered_without_a_word_about_its_pin(library: RunningLibrary) -> None:
    with logged_in(library) as terminal:
        answer = without_time(terminal.tell(f"23001{WHEN}AO{INSTITUTION}|AA123|AC|AD9999|"))
    assert answer == f"24YYYY          001…AO{INSTITUTION}|AA123|AE|BLN|AY1AZ"


def test_card_without_a_pin_takes_an_empty_one(library: RunningLibrary) -> None:
    with logged_in(library) as terminal:
        answers = [terminal.tell(status(a_card(Condition.WITHOUT_PIN), pin)) for pin in ("", "0000")]
    assert [b"|BLY|CQY|" in answer for answer in answers] == [True, False]
    assert b"|BLY|CQN|" in answers[1]


def test_information_says_more_than_who_asks_needs(library: RunningLibrary) -> None:
    card = a_card(Condition.CHILD)
    until = date.today() + timedelta(days=card.days_left)
    with logged_in(library) as terminal:
        answer = without_time(terminal.tell(information(card)))
    assert answer == (
        f"64{' ' * 14}001…{'0000' * 6}AO{INSTITUTION}|AA{card.number}|AE{card.name}|BLY|CQY|"
        f"BDLeiestraat 225, 8500 Kortrijk|BEreader{card.number}@example.test|BF056 00 02 25|AQkortrijk|"
        f"PA{until:%Y%m%d}|PB{card.born:%Y%m%d}|PCJeugd|AY1AZ"
    )


@pytest.mark.parametrize("condition", [Condition.EXPIRED, Condition.OVER])
def test_last_day_of_what_has_expired_is_over(condition: Condition, library: RunningLibrary) -> None:
    with logged_in(library) as terminal:
        found = [re.search(rb"\|PA(\d{8})\|", terminal.tell(information(card))) for card in cards_of(condition)]
    assert all(each is not None and each[1].decode() < f"{date.today():%Y%m%d}" for each in found)


def test_names_are_written_in_cp850(library: RunningLibrary) -> None:
    card = next(card for card in CARDS.values() if "é" in card.name)
    with logged_in(library) as terminal:
        assert f"|AE{card.name}|".encode("cp850") in terminal.tell(status(card))
    assert b"\x82" in card.name.encode("cp850")


def test_question_without_checksum_gets_an_answer_without(library: RunningLibrary) -> None:
    with Terminal(library.port) as terminal:
        assert terminal.send(f"{LOGIN}\r".encode()) == b"941\r"
        assert terminal.send(f"{status(a_card())}\r".encode()).endswith(b"|BLY|CQY|\r")


def test_question_with_a_bad_checksum_is_asked_for_again(library: RunningLibrary) -> None:
    question = signed(status(a_card()), 1)
    with logged_in(library) as terminal:
        assert terminal.send(question[:-5] + b"0000\r") == b"96AZFEF6\r"
        assert b"|BLY|CQY|" in terminal.send(question)


def test_connections_beyond_the_limit_are_closed(tmp_path: Path) -> None:
    with running_library(tmp_path, most_connections=1) as library, logged_in(library):
        with Terminal(library.port) as second:
            assert second.read() == b""
        assert library.server.connections == 1


# --- Faults ---


@pytest.fixture
def answer(library: RunningLibrary) -> bytes:
    """As it is when nothing goes wrong; both questions bear the number 1."""
    with logged_in(library) as terminal:
        return terminal.tell(status(a_card()))


def spoiled(library: RunningLibrary, kind: Kind) -> bytes:
    """What comes on an open connection, until it closes or nothing comes for a moment."""
    with logged_in(library) as terminal:
        library.fault(kind)
        terminal.socket.sendall(signed(status(a_card()), 1))
        terminal.socket.settimeout(0.3)
        received = b""
        try:
            while len(received) < 100_000 and (piece := terminal.socket.recv(65536)):
                received += piece
        except TimeoutError:
            return received
        return received + b"(end)"


def test_cut_frame_ends_in_the_middle(library: RunningLibrary) -> None:
    received = spoiled(library, Kind.CUT_FRAME)
    assert received.endswith(b"(end)")
    assert 20 < len(received) < 80
    assert b"\r" not in received


def test_two_frames_are_the_same_twice(library: RunningLibrary, answer: bytes) -> None:
    received = spoiled(library, Kind.TWO_FRAMES)
    assert received[: len(received) // 2] * 2 == received
    assert without_time(received[: len(received) // 2]) == without_time(answer)


def test_bad_checksum_is_all_that_is_wrong(library: RunningLibrary, answer: bytes) -> None:
    received = spoiled(library, Kind.BAD_CHECKSUM)
    assert re.sub(rb"\d{8} {4}\d{6}", b"", received[:-5]) == re.sub(rb"\d{8} {4}\d{6}", b"", answer[:-5])
    assert f"{-sum(received[:-5]) & 0xFFFF:04X}\r".encode() != received[-5:]


def test_wrong_sequence_number_has_a_right_checksum(library: RunningLibrary, answer: bytes) -> None:
    assert without_time(spoiled(library, Kind.WRONG_SEQUENCE)) == without_time(answer).replace("AY1AZ", "AY2AZ")


def test_other_card_has_a_right_checksum(library: RunningLibrary, answer: bytes) -> None:
    other = without_time(answer).replace(f"|AA{a_card().number}|", "|AA28599999|")
    assert without_time(spoiled(library, Kind.OTHER_CARD)) == other


def test_missing_cq_has_a_right_checksum(library: RunningLibrary, answer: bytes) -> None:
    assert without_time(spoiled(library, Kind.MISSING_CQ)) == without_time(answer).replace("CQY|", "")


def test_garbage_looks_like_no_answer(library: RunningLibrary) -> None:
    assert spoiled(library, Kind.GARBAGE).startswith(b"HTTP/1.1 400 Bad Request\r\n\xff\xfe\x00")


def test_too_long_never_ends(library: RunningLibrary) -> None:
    received = spoiled(library, Kind.TOO_LONG)
    assert (len(received) >= 100_000, b"\r" in received) == (True, False)


def test_drips_come_one_at_a_time(library: RunningLibrary) -> None:
    with logged_in(library) as terminal:
        library.fault(Kind.DRIPS)
        began = time.monotonic()
        terminal.socket.sendall(signed(status(a_card()), 1))
        received = [terminal.socket.recv(100) for _ in range(3)]
    assert received == [b"2", b"4", b" "]
    assert 0.35 < time.monotonic() - began < 2


def test_never_answers_keeps_the_line_open(library: RunningLibrary) -> None:
    assert spoiled(library, Kind.NEVER_ANSWERS) == b""


def test_closes_after_login_closes_after_login(library: RunningLibrary) -> None:
    library.fault(Kind.CLOSES_AFTER_LOGIN)
    with Terminal(library.port) as terminal:
        assert (terminal.tell(LOGIN), terminal.read()) == (b"941AY0AZFDFD\r", b"")


def test_slow_is_late_and_right(tmp_path: Path) -> None:
    with running_library(tmp_path, slow=0.2) as library, logged_in(library) as terminal:
        library.fault(Kind.SLOW)
        began = time.monotonic()
        assert b"|BLY|CQY|" in terminal.tell(status(a_card()))
    assert 0.2 <= time.monotonic() - began < 2


def test_offline_says_so_to_who_asks(library: RunningLibrary) -> None:
    with logged_in(library) as terminal:
        library.fault(Kind.OFFLINE)
        assert terminal.tell("9900802.00").startswith(b"98N")


def test_down_refuses_and_hangs_up_until_it_is_up_again(library: RunningLibrary) -> None:
    with logged_in(library) as terminal:
        library.fault(Kind.DOWN)
        assert terminal.read() == b""
    with pytest.raises(ConnectionRefusedError):
        Terminal(library.port)
    library.fault(None)
    with logged_in(library) as terminal:
        assert b"|BLY|CQY|" in terminal.tell(status(a_card()))


# --- As a process of its own ---


def start(tmp_path: Path, port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "portal.sandbox.library", "--port", str(port)]
    return subprocess.Popen(
        [*command, "--fault", str(tmp_path / "library.fault")],
        cwd=ROOT,
        env={**os.environ, "SANDBOX_LIBRARY_PASSWORD": PASSWORD},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_process_says_where_it_listens_logs_nothing_and_ends_when_told(tmp_path: Path) -> None:
    with start(tmp_path, 0) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        port = int(said.rpartition(":")[2])
        with Terminal(port) as terminal:
            terminal.tell(LOGIN)
            assert b"|BLY|CQY|" in terminal.tell(status(a_card()))
            assert terminal.send(b"23\xff\xff|not a question\r") == b""
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=5) == 0
        assert (said, process.stdout.read()) == (f"Library system on 127.0.0.1:{port}\n", "")


def test_process_names_a_taken_port(tmp_path: Path, library: RunningLibrary) -> None:
    with start(tmp_path, library.port) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(timeout=5) == 1
    assert said == f"Library system: port {library.port} cannot be used: Address already in use\n"
