from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.template import Context, Template
from django.utils.translation import override

from catalog import dates


@pytest.mark.parametrize(
    ("language", "day", "how", "reads"),
    [
        ("fr", date(2027, 1, 1), "j F Y", "1er janvier 2027"),
        ("fr", date(2027, 11, 1), "D j F", "lun 1er novembre"),
        ("fr", date(2027, 1, 1), "DATE_FORMAT", "1er janvier 2027"),
        ("fr", date(2027, 1, 11), "j F Y", "11 janvier 2027"),
        ("fr", date(2027, 1, 31), "j F Y", "31 janvier 2027"),
        ("fr", date(2027, 1, 1), "F Y", "janvier 2027"),
        ("nl", date(2027, 1, 1), "j F Y", "1 januari 2027"),
        ("en", date(2027, 1, 1), "j F Y", "1 January 2027"),
    ],
)
def test_first_of_a_month_in_french(language: str, day: date, how: str, reads: str) -> None:
    with override(language):
        assert dates.written(day, how) == reads


@pytest.mark.parametrize(
    ("value", "reads"),
    [
        (date(2027, 1, 1), "1er janvier 2027"),
        (datetime(2026, 12, 31, 23, 30, tzinfo=UTC), "1er janvier 2027"),  # it is the day of here that counts
        (datetime(2027, 1, 1, 23, 30, tzinfo=UTC), "2 janvier 2027"),
        (None, ""),
        ("", ""),
        ("no day", ""),
    ],
)
def test_every_template_writes_days_so(value: object, reads: str) -> None:
    with override("fr"):
        drawn = Template('{{ day|date:"j F Y" }}').render(Context({"day": value}))
    assert drawn == reads
