"""SIP2, the protocol alone: questions to a library's system as bytes, and what is kept of its answers.

A frame holds names, addresses, dates of birth and PINs: it is never logged, and no exception here quotes one. Only
what a decision needs leaves the parser.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, NoReturn, TypeVar

from libraries.cards.checks import Trouble
from libraries.cards.numbers import MAX_LENGTH

END = b"\r"
MAX_FRAME = 16_384
# What a person may type as a PIN, and what stands in the settings.
MAX_PIN, MAX_SETTING = 100, 300

A = TypeVar("A")

# AY and AZ end a frame: the number of the question, and a checksum over all bytes before.
_DETECTION = re.compile(rb".*AY([0-9])AZ([0-9A-Fa-f]{4})", re.S)
_RESEND = re.compile(rb"96(AY[0-9])?(AZ[0-9A-Fa-f]{4})?")
_DATE = r"[0-9]{8}[^|]{4}[0-9]{6}"
_LOGGED_IN = re.compile(r"94([01])")
_STATUS = re.compile(rf"98([YN])[^|]{{11}}{_DATE}[^|]{{4}}")
_PATRON_STATUS = re.compile(rf"24([YN ]{{14}})[^|]{{3}}{_DATE}")
_PATRON_INFORMATION = re.compile(rf"64([YN ]{{14}})[^|]{{3}}{_DATE}[^|]{{24}}")
# The only fields that leave the parser.
_KEPT = frozenset({"AA", "BL", "CQ", "PA", "BX"})
# Which letter of BX says that a system answers 23, and 63.
_BX_STATUS, _BX_INFORMATION = 0, 7
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class Unsendable(ValueError):
    """A value that must not reach the wire. `field` is its two letters; the value is not quoted."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


class NoCleanAnswer(Exception):
    """`trouble` says why; nothing of a frame is quoted."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


@dataclass(frozen=True)
class Request(Generic[A]):
    """One question, encoded, and how its answer is read."""

    body: bytes = field(repr=False)
    encoding: str
    # The code and the fields of fixed length with which the answer begins.
    shape: re.Pattern[str]
    make: Callable[[str, Mapping[str, str]], A] = field(repr=False)

    def frame(self, sequence: int | None) -> bytes:
        """With a sequence number it carries a checksum, and the answer must carry both."""
        if sequence is None:
            return self.body + END
        numbered = self.body + b"AY%dAZ" % sequence
        return numbered + checksum(numbered) + END

    def read(self, frame: bytes, sequence: int | None) -> A:
        """The answer, from a frame without its end. Raises NoCleanAnswer."""
        try:
            text = frame.decode(self.encoding)
        except UnicodeDecodeError:
            raise NoCleanAnswer(Trouble.GARBLED) from None
        start = self.shape.match(text)
        if start is None:
            raise NoCleanAnswer(Trouble.GARBLED)
        end = len(text) - _detection_length(frame, sequence)
        return self.make(start[1], _kept(text[start.end() : end]))


@dataclass(frozen=True)
class SystemStatus:
    is_online: bool
    answers_status: bool
    answers_information: bool


@dataclass(frozen=True)
class CardStatus:
    """What a system says of a card. `is_proved` is None where no PIN was sent.

    `expires` is the text of PA, empty for a card without an end, and None where nothing is said of it. It is read
    only after the PIN was right, so that what is wrong in it tells nobody that a card exists.
    """

    is_known: bool
    is_proved: bool | None
    flags: str
    expires: str | None = field(repr=False)

    @property
    def is_denied_all(self) -> bool:
        """Loans, renewals, recalls and holds: systems say so of a card that has expired."""
        return self.flags.startswith("YYYY")

    @property
    def is_barred(self) -> bool:
        """Reported lost, or too many or too much of something: never said of a card that has merely expired."""
        return "Y" in self.flags[4:]

    @property
    def may_borrow(self) -> bool:
        return self.flags[0] != "Y"

    @property
    def last_day(self) -> date | None:
        """Raises NoCleanAnswer for what is no date."""
        return _day(self.expires) if self.expires else None


def log_in(*, login: str, password: str, location: str, encoding: str) -> Request[bool]:
    fields = [("CN", login), ("CO", password), *([("CP", location)] if location else [])]
    return Request(_body("9300", fields, encoding), encoding, _LOGGED_IN, lambda ok, kept: ok == "1")


def ask_status(*, encoding: str) -> Request[SystemStatus]:
    return Request(_body("9900802.00", [], encoding), encoding, _STATUS, _status)


def ask_card(
    *,
    number: str,
    pin: str | None,
    institution_code: str,
    terminal_password: str,
    encoding: str,
    at: datetime,
    with_expiry: bool,
) -> Request[CardStatus]:
    """Without a PIN none is sent, not even an empty one, and the answer proves nothing. `at` is local time.

    `with_expiry` asks 63, whose answer holds an address and a date of birth too; otherwise 23.
    """
    fixed = f"001{at:%Y%m%d    %H%M%S}"
    fields = [("AO", institution_code), ("AA", number), ("AC", terminal_password)]
    if pin is not None:
        fields.append(("AD", pin))

    def make(flags: str, kept: Mapping[str, str]) -> CardStatus:
        return _card(flags, kept, number=number, with_pin=pin is not None)

    if with_expiry:
        return Request(_body(f"63{fixed}{' ' * 10}", fields, encoding), encoding, _PATRON_INFORMATION, make)
    return Request(_body(f"23{fixed}", fields, encoding), encoding, _PATRON_STATUS, make)


def is_resend(frame: bytes) -> bool:
    """Whether the system asks for the same frame again: it got a bad checksum."""
    return _RESEND.fullmatch(frame) is not None


def checksum(numbered: bytes) -> bytes:
    """Of all bytes up to and including AZ."""
    return b"%04X" % (-sum(numbered) & 0xFFFF)


def _body(start: str, fields: list[tuple[str, str]], encoding: str) -> bytes:
    return start.encode("ascii") + b"".join(_field(name, text, encoding) for name, text in fields)


def _field(name: str, text: str, encoding: str) -> bytes:
    """Once more as bytes: what counts is what is on the wire, not what the text looked like."""
    if not _is_sendable(name, text):
        raise Unsendable(name)
    try:
        value = text.encode(encoding)
    except UnicodeEncodeError:
        raise Unsendable(name) from None
    if any(mark in value for mark in (b"|", b"\r", b"\n")):
        raise Unsendable(name)
    return name.encode("ascii") + value + b"|"


def _is_sendable(name: str, text: str) -> bool:
    """An empty PIN is accepted by some systems for a card that has none, and so may be one of blanks."""
    if name in ("AA", "AD") and not text.strip():
        return False
    longest = {"AA": MAX_LENGTH, "AD": MAX_PIN}.get(name, MAX_SETTING)
    return len(text) <= longest and not any(each == "|" or unicodedata.category(each) in _UNSEEN for each in text)


def _detection_length(frame: bytes, sequence: int | None) -> int:
    """How many bytes AY and AZ take at the end, once they are checked.

    An answer without them to a question that had them is not taken: nothing would show that it was cut, changed on
    the way, or meant for the question before.
    """
    found = _DETECTION.fullmatch(frame)
    if found is None:
        if sequence is not None:
            raise NoCleanAnswer(Trouble.INCOMPLETE)
        return 0
    if checksum(frame[:-4]) != found[2].upper() or sequence not in (None, int(found[1])):
        raise NoCleanAnswer(Trouble.GARBLED)
    return len("AY0AZ0000")


def _kept(text: str) -> dict[str, str]:
    """Every field ends with `|`: one that does not was cut. A field that counts must not come twice: a name or a
    message with a `|` in it could bring a second one."""
    *fields, rest = text.split("|")
    kept: dict[str, str] = {}
    for name, value in ((each[:2], each[2:]) for each in fields):
        if len(name) < 2 or name in kept:
            _garbled()
        if name in _KEPT:
            kept[name] = value
    if rest:
        _garbled()
    return kept


def _status(online: str, kept: Mapping[str, str]) -> SystemStatus:
    supported = _present(kept, "BX").ljust(16)
    return SystemStatus(online == "Y", supported[_BX_STATUS] == "Y", supported[_BX_INFORMATION] == "Y")


def _card(flags: str, kept: Mapping[str, str], *, number: str, with_pin: bool) -> CardStatus:
    """A known card without a word about its PIN was not proved, and the question was not answered. Numbers are in
    capitals here, in some systems they are not, or have blanks around them."""
    if _present(kept, "AA").strip(" ").upper() != number.upper():
        raise NoCleanAnswer(Trouble.OTHER_CARD)
    is_known = _yes(kept, "BL")
    is_proved = (_yes(kept, "CQ") if is_known else False) if with_pin else None
    return CardStatus(is_known, is_proved, flags, kept.get("PA"))


def _present(kept: Mapping[str, str], name: str) -> str:
    if name not in kept:
        raise NoCleanAnswer(Trouble.INCOMPLETE)
    return kept[name]


def _yes(kept: Mapping[str, str], name: str) -> bool:
    value = _present(kept, name)
    if value not in ("Y", "N"):
        _garbled()
    return value == "Y"


def _day(text: str) -> date:
    """20501231, with or without a time behind it."""
    found = re.match(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:[^0-9]|$)", text)
    try:
        return date(*map(int, found.groups())) if found else _garbled()
    except ValueError:
        _garbled()


def _garbled() -> NoReturn:
    raise NoCleanAnswer(Trouble.GARBLED) from None
