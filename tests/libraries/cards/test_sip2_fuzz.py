"""Whatever comes from a library's system: a clean answer is taken, and nothing else ever is."""

from __future__ import annotations

import os
import re
from random import Random

import pytest

from libraries.cards import sip2
from libraries.cards.checks import Trouble
from libraries.cards.sip2 import NoCleanAnswer
from tests.libraries.cards.test_sip2 import ENCODINGS, ask_card
from tests.sip2_server import numbered, patron

# A nightly run may take more.
FUZZED = int(os.environ.get("FUZZ_SIP2", "3000"))
PIECES = [
    b"AY2AZ",
    b"|",
    b"BLY|",
    b"CQY|",
    b"CQN|",
    b"AA2100|",
    b"AA2101|",
    b"PA20200101|",
    b"24",
    b"64",
    b"YYYY",
    b"\0",
]
PIECES += [b"\xff", b"\r", b"AY9AZFFFF", b"BL", b"CQ", b"\xc3\xa9", b"20260701    120000"]


def spoiled(random: Random, frame: bytes) -> bytes:
    """Cut, doubled, overwritten, or with something between; half of them with a good checksum again."""
    for _ in range(random.randint(1, 4)):
        start, end = sorted(random.randint(0, len(frame)) for _ in range(2))
        piece = random.choice([*PIECES, bytes([random.randrange(256)]), frame[start:end], b""])
        frame = frame[:start] + piece + frame[random.choice([start, end]) :]
    if random.random() < 0.5:
        frame = frame[:-9] + b"AY2AZ"
        frame += sip2.checksum(frame)
    return frame


def fields_anywhere(frame: bytes) -> set[bytes]:
    return set(frame.split(b"|"))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("with_expiry", [False, True])
def test_parser_takes_nothing_for_good_that_does_not_say_so(encoding: str, with_expiry: bool) -> None:
    """A spoiled frame is a clean answer or none: never another exception, and never good without BL, CQ and AA."""
    random, request = Random(20261129), ask_card(encoding=encoding, with_expiry=with_expiry)
    code, question = "64" if with_expiry else "24", request.frame(2)[:-1]
    clean = [numbered(patron(code=code, rest=f"BLY|CQ{letter}|PA20501231|"), question)[:-1] for letter in "YN"]
    outcomes: set[Trouble | bool | None] = set()
    for _ in range(FUZZED):
        frame, sequence = spoiled(random, random.choice(clean)), random.choice([2, None])
        try:
            card = request.read(frame, sequence)
        except NoCleanAnswer as failed:
            outcomes.add(failed.trouble)
            continue
        outcomes.add(card.is_proved)
        if card.is_proved:
            fields = fields_anywhere(frame)
            assert {b"BLY", b"CQY"} <= fields
            assert re.search(rb"AA *2100", frame)
            assert not {b"CQN", b"BLN"} & fields
    assert {True, False, Trouble.GARBLED, Trouble.INCOMPLETE, Trouble.OTHER_CARD} <= outcomes
