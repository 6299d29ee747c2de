"""Days as people read them."""

from __future__ import annotations

from datetime import date

from django.utils.formats import date_format, get_format
from django.utils.translation import get_language


def written(day: date, how: str) -> str:
    """As Django's `date_format` does, but for what `how_on` says."""
    return date_format(day, how_on(day, how))


def how_on(day: object, how: str | None) -> str | None:
    """French counts the first day of a month, and only that one: 1er janvier, 2 janvier. Django has one format for
    every day."""
    if not (isinstance(day, date) and day.day == 1 and (get_language() or "").startswith("fr")):
        return how
    return str(get_format(how or "DATE_FORMAT")).replace("j", r"j\e\r")
