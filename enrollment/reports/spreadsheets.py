"""Rows as a CSV file that a spreadsheet opens without harm."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

# A cell that begins with one of these is a formula to a spreadsheet, and formulas can send what is beside them away.
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(rows: Iterable[Sequence[object]]) -> bytes:
    """UTF-8 with a mark by which Excel knows it; semicolons, as Excel expects them in Belgium."""
    text = StringIO()
    csv.writer(text, delimiter=";").writerows([[cell(each) for each in row] for row in rows])
    return text.getvalue().encode("utf-8-sig")


def cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text
