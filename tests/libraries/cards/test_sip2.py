"""The protocol alone: what is written byte for byte, and which answers are taken."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import date, datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from libraries.cards import sip2
from libraries.cards.checks import Trouble
from libraries.cards.sip2 import CardStatus, NoCleanAnswer, Request, SystemStatus, Unsendable
from tests.sip2_server import NO_FLAGS, NOW, numbered, patron

AT = datetime(2026, 7, 1, 12, 0, 0)
PERSONAL = "AEAda Canary|BDCanarystreet 1|BEcanary@example.org|BF0470|BG19930518|PB19930518|AFOwes canaries|AGCanary|"


def ask_card(
    number: str = "2100",
    pin: str | None = "1234",
    *,
    code: str = "city",
    terminal: str = "",
    encoding: str = "cp850",
    with_expiry: bool = False,
) -> Request[CardStatus]:
    return sip2.ask_card(
        number=number,
        pin=pin,
        institution_code=code,
        terminal_password=terminal,
        encoding=encoding,
        at=AT,
        with_expiry=with_expiry,
    )


def log_in(login: str = "ada", password: str = "secret", location: str = "CPL") -> Request[bool]:
    return sip2.log_in(login=login, password=password, location=location, encoding="cp850")


def read(body: str, request: Request[CardStatus] | None = None, *, sequence: int = 2) -> CardStatus:
    request = request or ask_card()
    return request.read(numbered(body, request.frame(sequence)[:-1])[:-1], sequence)


def trouble_of(body: str, request: Request[CardStatus] | None = None) -> Trouble:
    with pytest.raises(NoCleanAnswer) as failed:
        read(body, request)
    return failed.value.trouble


def trouble_of_frame(frame: bytes, request: Request[CardStatus] | None = None, sequence: int | None = 2) -> Trouble:
    with pytest.raises(NoCleanAnswer) as failed:
        (request or ask_card()).read(frame, sequence)
    return failed.value.trouble


# --- Questions ---


def test_login_is_written_byte_for_byte() -> None:
    request = log_in("<user>", "<password>", "<location>")
    assert request.frame(0) == b"9300CN<user>|CO<password>|CP<location>|AY0AZF0AC\r"


def test_login_without_a_location_sends_none() -> None:
    assert log_in(location="").frame(None) == b"9300CNada|COsecret|\r"


def test_status_is_asked_byte_for_byte() -> None:
    assert sip2.ask_status(encoding="cp850").frame(1) == b"9900802.00AY1AZFCA0\r"


def test_card_is_asked_byte_for_byte() -> None:
    assert ask_card(terminal="t").frame(2) == b"2300120260701    120000AOcity|AA2100|ACt|AD1234|AY2AZF2A9\r"
    assert ask_card(with_expiry=True).frame(None) == (b"6300120260701    120000          AOcity|AA2100|AC|AD1234|\r")


def test_without_a_pin_no_pin_is_sent_not_even_an_empty_one() -> None:
    assert ask_card(pin=None).frame(None) == b"2300120260701    120000AOcity|AA2100|AC|\r"


@pytest.mark.parametrize(
    ("numbered", "expected"), [(b"9900802.00AY1AZ", b"FCA0"), (b"96AZ", b"FEF6"), (b"\0", b"0000")]
)
def test_checksum_is_the_twos_complement_of_the_sum(numbered: bytes, expected: bytes) -> None:
    assert sip2.checksum(numbered) == expected


@pytest.mark.parametrize(("encoding", "expected"), [("cp850", b"AD\x82\x9b|"), ("utf-8", b"AD\xc3\xa9\xc3\xb8|")])
def test_letters_are_written_in_the_encoding_of_the_system(encoding: str, expected: bytes) -> None:
    assert ask_card(pin="éø", encoding=encoding).frame(None).endswith(expected + b"\r")


ENCODINGS = ["cp850", "utf-8"]
REFUSED = ["12|34", "12\r34", "12\n34", "1\0", "1\x1b[", "1\x7f", "1\x85", "1\u2028", "1\u2029", "1\u200b", "1\ud800"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "text", ["", " ", "\N{NO-BREAK SPACE}", *REFUSED, "1" * 101, pytest.param("1" * 10_000, id="endless")]
)
def test_pin_that_must_not_reach_the_wire_is_refused(text: str, encoding: str) -> None:
    with pytest.raises(Unsendable, match=r"^AD$"):
        ask_card(pin=text, encoding=encoding)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ["", " ", *REFUSED, "1" * 41, pytest.param("1" * 10_000, id="endless")])
def test_number_that_must_not_reach_the_wire_is_refused(text: str, encoding: str) -> None:
    with pytest.raises(Unsendable, match=r"^AA$"):
        ask_card(text, encoding=encoding)


def test_letters_that_the_encoding_lacks_are_refused() -> None:
    assert "漢".encode() in ask_card(pin="漢", encoding="utf-8").body
    with pytest.raises(Unsendable, match=r"^AD$"):
        ask_card(pin="漢")


@pytest.mark.parametrize("text", [*REFUSED, "1" * 301])
def test_setting_that_must_not_reach_the_wire_is_refused(text: str) -> None:
    asked: dict[str, Callable[[], object]] = {
        "CN": lambda: log_in(login=text),
        "CO": lambda: log_in(password=text),
        "CP": lambda: log_in(location=text),
        "AO": lambda: ask_card(code=text),
        "AC": lambda: ask_card(terminal=text),
    }
    for field, ask in asked.items():
        with pytest.raises(Unsendable, match=f"^{field}$"):
            ask()


def test_bytes_are_looked_at_once_more_after_encoding() -> None:
    """An encoding of another kind writes separators that no check of the text finds."""
    assert "\u7c7c".encode("utf-16-be") == b"||"
    with pytest.raises(Unsendable, match=r"^AD$"):
        ask_card(pin="\u7c7c", encoding="utf-16-be")


def test_refusal_quotes_nothing_of_what_was_refused() -> None:
    try:
        ask_card(pin="canary漢")
    except Unsendable:
        assert "canary" not in traceback.format_exc().replace('ask_card(pin="canary漢")', "")


def test_question_and_answer_show_nothing_when_they_are_printed() -> None:
    assert "1234" not in repr(ask_card())
    assert "2100" not in repr(ask_card())
    assert "2050" not in repr(read(patron(rest="BLY|CQY|PA20501231|")))


def fields_of(frame: bytes) -> list[tuple[bytes, bytes]]:
    """As a server takes a frame apart: all of one question about a card, up to the first end."""
    body = frame.split(b"\r")[0][len("2300120260701    120000") :]
    return [(part[:2], part[2:]) for part in body.split(b"|")]


# Mostly what can be sent, so that much of it is.
TYPED = st.text(st.sampled_from("aZ09 éçß|\r\N{EURO SIGN}漢"), max_size=8) | st.text(max_size=105)


@settings(max_examples=100, deadline=None)
@given(
    number=TYPED,
    pin=TYPED,
    code=st.text(st.characters(codec="cp850"), max_size=9),
    encoding=st.sampled_from(ENCODINGS),
)
@example(number="2100", pin="|AD|", code="", encoding="utf-8")
@example(number="2100\rAY", pin="1", code="", encoding="cp850")
@example(number="É", pin="é ", code="ç", encoding="cp850")
def test_any_text_arrives_exactly_or_is_refused(number: str, pin: str, code: str, encoding: str) -> None:
    try:
        frame = ask_card(number, pin, code=code, encoding=encoding).frame(7)
    except Unsendable:
        return
    *fields, (ay, rest) = fields_of(frame)
    assert [(name.decode(), text.decode(encoding)) for name, text in fields] == [
        ("AO", code),
        ("AA", number),
        ("AC", ""),
        ("AD", pin),
    ]
    assert (ay, rest[:3], frame[-1:], frame.count(b"\r")) == (b"AY", b"7AZ", b"\r", 1)


# --- Answers ---


def test_captured_frames_are_read_byte_for_byte() -> None:
    assert log_in().read(b"941AY0AZFDFD", 0) is True
    assert log_in().read(b"940AY0AZFDFE", 0) is False
    wrong_pin = f"24{NO_FLAGS}001{NOW}AO|AA2100|AEAda Peeters|BLY|CQN|"
    unknown = f"24YYYY{' ' * 10}001{NOW}AO|AA2100|AE|BLN|"
    blocked = f"24YYYY{' ' * 10}001{NOW}AO|AA2100|AEAda Peeters|BLY|CQY|AFGeblokkeerd|"
    assert read(wrong_pin) == CardStatus(True, False, NO_FLAGS, None)
    assert read(unknown) == CardStatus(False, False, "YYYY" + " " * 10, None)
    assert read(blocked) == CardStatus(True, True, "YYYY" + " " * 10, None)


def test_information_is_read_and_nothing_personal_kept() -> None:
    body = patron(code="64", rest=f"{PERSONAL}BLY|CQY|PA20501231|PCstudent|PIN|")
    card = read(body, ask_card(with_expiry=True))
    assert card == CardStatus(True, True, NO_FLAGS, "20501231")
    assert card.last_day == date(2050, 12, 31)
    assert "anary" not in str(vars(card))


def test_status_says_what_the_system_answers() -> None:
    def status(online: str, supported: str) -> SystemStatus:
        body = f"98{online}YYYYN100003{NOW}2.00AOcity|BX{supported}|"
        request = sip2.ask_status(encoding="cp850")
        return request.read(numbered(body, request.frame(1)[:-1])[:-1], 1)

    assert status("Y", "Y" * 16) == SystemStatus(True, True, True)
    assert status("N", "YNNNYNYNNNNNNNNN") == SystemStatus(False, True, False)
    assert status("Y", "NNNNYNYY") == SystemStatus(True, False, True)
    assert status("Y", "") == SystemStatus(True, False, False)


@pytest.mark.parametrize(
    ("rest", "trouble"),
    [
        ("CQY|", Trouble.INCOMPLETE),
        ("BLY|", Trouble.INCOMPLETE),
        ("", Trouble.INCOMPLETE),
        ("BL|CQY|", Trouble.GARBLED),
        ("BLY|CQ|", Trouble.GARBLED),
        ("BLY|CQ1|", Trouble.GARBLED),
        ("BLU|CQY|", Trouble.GARBLED),
        # A second field, brought by a name or a message with a `|` in it.
        ("BLY|CQN|AFHallo|CQY|", Trouble.GARBLED),
        ("BLN|AFHallo|BLY|CQY|", Trouble.GARBLED),
        ("BLY|CQY|AA2100|", Trouble.GARBLED),
        ("BLY|CQY|PA20200101|PA20501231|", Trouble.GARBLED),
        ("BLY|CQY", Trouble.GARBLED),
        ("BLY|CQY|A|", Trouble.GARBLED),
        ("BLY|CQY||", Trouble.GARBLED),
    ],
)
def test_answer_that_does_not_say_both_is_not_taken(rest: str, trouble: Trouble) -> None:
    assert trouble_of(patron(rest=rest)) == trouble


def test_messages_may_come_twice() -> None:
    assert read(patron(rest="BLY|CQY|AFone|AFtwo|")).is_proved is True


def test_without_a_pin_what_is_said_of_one_counts_for_nothing() -> None:
    for rest in ("BLY|", "BLY|CQY|", "BLY|CQN|"):
        assert read(patron(rest=rest), ask_card(pin=None)) == CardStatus(True, None, NO_FLAGS, None)


def test_answer_about_another_card_is_not_taken() -> None:
    for number in ("2101", "02100", "21 00", "2100\xa0", ""):
        assert trouble_of(patron(number)) == Trouble.OTHER_CARD


def test_number_in_the_answer_may_be_written_otherwise() -> None:
    for number in ("KB2100", "kb2100", " Kb2100  "):
        assert read(patron(number), ask_card("KB2100")).is_proved is True
    assert trouble_of(f"24{NO_FLAGS}001{NOW}AO|BLY|CQY|") == Trouble.INCOMPLETE


@pytest.mark.parametrize(
    "body",
    [
        "",
        "941",
        "HTTP/1.1 400 Bad Request",
        patron(code="64"),
        patron().replace("24", "23", 1),
        patron(flags=" " * 13),
        patron(flags=" " * 15),
        patron(flags="X" + " " * 13),
        patron().replace(NOW, "2026-07-01 12:00:00"),
        f"24{NO_FLAGS}001{NOW[:-1]}",
    ],
)
def test_answer_of_another_shape_is_not_taken(body: str) -> None:
    assert trouble_of(body) == Trouble.GARBLED


def test_answer_to_another_question_is_not_taken() -> None:
    late = numbered(patron(), b"AY1AZ0000")[:-1]
    assert ask_card().read(late, 1).is_proved is True
    assert trouble_of_frame(late) == Trouble.GARBLED


def test_answer_that_was_changed_on_the_way_is_not_taken() -> None:
    frame = numbered(patron(rest="BLY|CQN|"), b"AY2AZ0000")[:-1]
    assert trouble_of_frame(frame.replace(b"CQN", b"CQY")) == Trouble.GARBLED
    assert ask_card().read(frame[:-4] + frame[-4:].lower(), 2).is_proved is False


def test_answer_without_checksum_is_taken_only_where_the_question_had_none() -> None:
    frame = patron().encode()
    assert ask_card().read(frame, None).is_proved is True
    assert trouble_of_frame(frame) == Trouble.INCOMPLETE


def test_checksum_counts_where_none_was_asked_for() -> None:
    frame = numbered(patron(), b"AY4AZ0000")[:-1]
    assert ask_card().read(frame, None).is_proved is True
    assert trouble_of_frame(frame[:-1] + b"!", sequence=None) == Trouble.GARBLED
    assert trouble_of_frame(frame.replace(b"CQY", b"CQN"), sequence=None) == Trouble.GARBLED


def test_cut_answer_is_never_taken() -> None:
    """Without a checksum the end of the last field still tells: what is left may say less, but never other things."""
    frame = numbered(patron(rest="BLY|CQY|PA20200101|"), b"AY2AZ0000")[:-1]
    assert {trouble_of_frame(frame[:length]) for length in range(len(frame))} == {Trouble.GARBLED, Trouble.INCOMPLETE}
    plain = patron(rest="PA20200101|BLY|CQY|").encode()
    assert {trouble_of_frame(plain[:length], sequence=None) for length in range(len(plain))} == {
        Trouble.GARBLED,
        Trouble.INCOMPLETE,
    }


def test_answer_in_another_encoding_is_not_taken() -> None:
    request = ask_card(encoding="utf-8")
    latin = numbered(patron().replace("Ada", "Zoë").encode("latin-1"), b"AY2AZ0000")[:-1]
    assert trouble_of_frame(latin, request) == Trouble.GARBLED
    assert ask_card().read(latin, 2).is_proved is True
    wide = numbered(patron().encode("utf-16"), b"AY2AZ0000")[:-1]
    assert trouble_of_frame(wide, request) == Trouble.GARBLED
    assert trouble_of_frame(wide) == Trouble.GARBLED


@pytest.mark.parametrize(
    ("expires", "day"),
    [("20501231", date(2050, 12, 31)), ("20501231    235900", date(2050, 12, 31)), ("", None)],
)
def test_last_day_is_read(expires: str, day: date | None) -> None:
    assert read(patron(rest=f"BLY|CQY|PA{expires}|")).last_day == day


@pytest.mark.parametrize(
    "expires", ["2050", "20501331", "00000000", "205012311", "31/12/2050", "NEVER", " ", "٢٠٥٠١٢٣١"]
)
def test_last_day_that_is_no_date_is_no_clean_answer(expires: str) -> None:
    card = CardStatus(True, True, NO_FLAGS, expires)
    with pytest.raises(NoCleanAnswer, match=r"^garbled$"):
        _ = card.last_day


@pytest.mark.parametrize(
    ("frame", "expected"),
    [(b"96AZFEF6", True), (b"96", True), (b"96AY1AZFDA4", True), (b"961", False), (b"2496AZFEF6", False), (b"", False)],
)
def test_request_to_send_again_is_known(frame: bytes, expected: bool) -> None:
    assert sip2.is_resend(frame) is expected
