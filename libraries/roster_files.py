"""Read a list of valid cards from a CSV file: line by line, refusing the whole when it cannot be trusted."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import IO, BinaryIO

from django.conf import settings
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from libraries.cards.numbers import InvalidNumber, normalize
from libraries.cards.roster import InvalidFact, hash_fact, normalize_fact, parse_date

MAX_LINES = 500_000
MAX_LINE_BYTES = 4_096
_PROGRESS_EVERY = 5_000
_NULL = "\\N"

# One line of a report: its number in the file (the header is line 1) and the code of a `RejectionReason`.
Rejection = tuple[int, str]

_COLUMNS = {
    "number": ("nummer", "kaartnummer", "numero", "numero_de_carte", "number", "card_number"),
    "valid_until": ("geldig_tot", "valable_jusqu_au", "valid_until"),
    "birth_date": ("geboortedatum", "date_de_naissance", "birth_date", "date_of_birth"),
    "last_name": ("naam", "achternaam", "familienaam", "nom", "nom_de_famille", "last_name", "name"),
}
_MEANING = {name: column for column, names in _COLUMNS.items() for name in names}


class RejectionReason(TextChoices):
    """Why one line is left out; the others are taken in."""

    EMPTY = "empty", _("The card number is missing.")
    TOO_LONG = "too_long", _("The card number is longer than 40 characters.")
    BAD_CHARACTERS = "bad_characters", _("The card number has other characters than digits and letters.")
    NATIONAL_NUMBER = "national_number", _("This is a national register number. It may not be kept here.")
    DUPLICATE = "duplicate", _("The card number was on an earlier line.")
    FEW_COLUMNS = "few_columns", _("The line has fewer columns than the first line.")
    MANY_COLUMNS = "many_columns", _("The line has more columns than the first line.")
    BAD_VALID_UNTIL = (
        "bad_valid_until",
        _("The card's end date is not a date. Write it like 2027-12-31 or 31/12/2027."),
    )
    BAD_DATE = "bad_date", _("The date of birth is not a date. Write it like 1993-05-18 or 18/05/1993.")
    FUTURE_DATE = "future_date", _("The date of birth is in the future.")
    BAD_LAST_NAME = "bad_last_name", _("The last name has no letters, or is too long.")


class RosterWarning(TextChoices):
    NO_SECOND_FACT = (
        "no_second_fact",
        _("No line has the second fact your institution asks for. A librarian must look at every card."),
    )
    NO_VALID_UNTIL = (
        "no_valid_until",
        _("The file has no column with end dates. No card will ever be seen as expired."),
    )


_REFUSALS = {
    "empty": _("The file is empty."),
    "no_lines": _("The file has a first line with names of columns, but no cards."),
    "columns": _(
        "The first line must name the columns, with ; or , between them: number, valid_until, and birth_date or "
        "last_name. Each name may be there once."
    ),
    "not_utf8": _("Line %(line)d is not UTF-8 text. Save the list again as “CSV UTF-8”."),
    "mixed": _("Line %(line)d is written in another encoding than the lines before. Save the list as “CSV UTF-8”."),
    "binary": _("This is not a text file. Save the list as “CSV UTF-8”."),
    "too_big": _("The file is too big."),
    "too_many_lines": _("The file has too many lines."),
    "line_too_long": _("Line %(line)d is too long for a list of cards."),
    "quotes": _("The quotation marks on line %(line)d are wrong, or the file stops in the middle of that line."),
    "truncated": _("The file stops in the middle of line %(line)d. Make the list again."),
    "cut_off": _(
        "The file stops without ending its last line, and many cards of the present list are not in it. Make the "
        "list again. If nothing is missing, end the last line with a line break."
    ),
    "nothing_accepted": _("None of the lines could be used. The list was left as it was."),
    "busy": _("Another list for this institution is being imported. Try again in a minute."),
}


class RosterRefused(Exception):
    """The whole file is refused and nothing has changed. `code` is a key of the texts above; `rejected` holds the
    lines that were rejected before that."""

    def __init__(self, code: str, *, line: int = 0, rejected: list[Rejection] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.line = line
        self.rejected = rejected or []

    @property
    def message(self) -> str:
        """For people, in the language that is active when it is read."""
        return str(_REFUSALS[self.code]) % {"line": self.line}


@dataclass
class Contents:
    """Counts of what was read; the rows themselves are in the file given to `read`. `ended` says whether the last
    line ends with a line break: many programs leave it out, and so does a copy that was broken off."""

    lines: int = 0
    accepted: int = 0
    without_fact: int = 0
    ended: bool = True
    rejected: list[Rejection] = field(default_factory=list)
    warnings: list[RosterWarning] = field(default_factory=list)


class _Rejected(ValueError):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class _Layout:
    delimiter: str
    width: int
    columns: dict[str, int]


@dataclass
class _Lines:
    """The file's lines as text, one at a time, so that a huge file or line never sits in memory.

    UTF-8, or Windows-1252, in which Excel saves a plain CSV file: the first line with more than ASCII tells, and all
    others have to be in the same.
    """

    source: BinaryIO
    number: int = 0
    size: int = 0
    ended: bool = True
    encoding: str = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.source.readline(MAX_LINE_BYTES + 1)
        if not line:
            raise StopIteration
        self.number += 1
        self.size += len(line)
        self.ended = line.endswith(b"\n")
        self._require_sane(line)
        return line.decode() if line.isascii() else self._decoded(line)

    def _decoded(self, line: bytes) -> str:
        is_utf8 = _reads_as(line, "utf-8")
        encoding = "utf-8" if is_utf8 else "cp1252"
        if not is_utf8 and not _reads_as(line, "cp1252"):
            raise RosterRefused("not_utf8", line=self.number)
        if encoding != (self.encoding or encoding):
            raise RosterRefused("mixed", line=self.number)
        self.encoding = encoding
        return line.decode(encoding)

    def _require_sane(self, line: bytes) -> None:
        if b"\0" in line:
            raise RosterRefused("binary")
        if len(line) > MAX_LINE_BYTES:
            raise RosterRefused("line_too_long", line=self.number)
        if self.size > settings.ROSTER_MAX_BYTES:
            raise RosterRefused("too_big")
        if self.number > MAX_LINES + 1:
            raise RosterRefused("too_many_lines")


def _reads_as(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


class _Parser:
    """Turns a record into a line for COPY, or says why not."""

    def __init__(self, layout: _Layout, *, institution_id: int, second_fact: str, key: bytes, on: date) -> None:
        self.width = layout.width
        self.number = layout.columns["number"]
        self.valid_until = layout.columns.get("valid_until")
        self.fact = layout.columns.get(second_fact)
        self.institution_id = institution_id
        self.second_fact = second_fact
        self.key = key
        self.on = on
        self.hashed = 0
        self.seen: set[int] = set()

    def row(self, record: list[str]) -> str:
        if len(record) != self.width:
            self._require_width(record)
        number = normalize(record[self.number])
        # A whole number takes half the memory of its text; the 1 keeps leading zeros apart.
        seen_as = int(f"1{number}", 36)
        if seen_as in self.seen:
            raise _Rejected("duplicate")
        # Only what is in a normalized number, a date and a hash is written: nothing that COPY would have escaped.
        row = f"{number}\t{self._end(record)}\t{self._hash(record, number)}\n"
        self.seen.add(seen_as)
        return row

    def _require_width(self, record: list[str]) -> None:
        if len(record) < self.width:
            raise _Rejected("few_columns")
        if any(cell.strip() for cell in record[self.width :]):
            raise _Rejected("many_columns")

    def _end(self, record: list[str]) -> str:
        text = "" if self.valid_until is None else record[self.valid_until].strip()
        if not text:
            return _NULL
        if (day := parse_date(text)) is None:
            raise _Rejected("bad_valid_until")
        return day.isoformat()

    def _hash(self, record: list[str], number: str) -> str:
        fact = "" if self.fact is None else normalize_fact(self.second_fact, record[self.fact], on=self.on)
        if not fact:
            return ""
        self.hashed += 1
        return hash_fact(self.key, self.institution_id, number, self.second_fact, fact)


def read(
    source: BinaryIO,
    rows: IO[str],
    *,
    institution_id: int,
    second_fact: str,
    key: bytes,
    on: date,
    progress: Callable[[int], None],
) -> Contents:
    """Write every accepted line to `rows` in COPY's text format: number, valid until, hash of the second fact.

    Raises `RosterRefused`; what was written to `rows` by then is of no use.
    """
    lines = _Lines(source)
    layout = _layout(next(lines, ""))
    parser = _Parser(layout, institution_id=institution_id, second_fact=second_fact, key=key, on=on)
    contents = Contents()
    for record in _records(lines, layout.delimiter):
        contents.lines += 1
        try:
            rows.write(parser.row(record))
        except (InvalidNumber, InvalidFact, _Rejected) as error:
            contents.rejected.append((lines.number, error.code))
        if contents.lines % _PROGRESS_EVERY == 0:
            progress(contents.lines)
    progress(contents.lines)
    contents.accepted = contents.lines - len(contents.rejected)
    contents.without_fact = contents.accepted - parser.hashed
    contents.ended = lines.ended
    contents.warnings = _warnings(contents, layout)
    _require_whole(contents, lines)
    return contents


def _layout(header: str) -> _Layout:
    header = header.removeprefix("\ufeff").strip()
    if not header:
        raise RosterRefused("empty")
    if "\r" in header:  # lines that end in a carriage return alone: the file would be one line
        raise RosterRefused("columns")
    for delimiter in ";,":
        cells = [_plain(cell) for cell in header.split(delimiter)]
        columns = [_MEANING.get(cell, "") for cell in cells]
        if columns.count("number") == 1 and all(columns.count(column) < 2 for column in _COLUMNS):
            width = max(index for index, cell in enumerate(cells, start=1) if cell)
            return _Layout(delimiter, width, {column: index for index, column in enumerate(columns) if column})
    raise RosterRefused("columns")


def _plain(name: str) -> str:
    """A column's name without quotes, case and accents, with _ between its words: "Numéro" is numero."""
    apart = unicodedata.normalize("NFKD", name.strip().strip('"').strip().casefold())
    letters = "".join(
        character if character.isalnum() else " " for character in apart if not unicodedata.combining(character)
    )
    return "_".join(letters.split())


def _records(lines: _Lines, delimiter: str) -> Iterator[list[str]]:
    """A record never spans lines: a quotation mark that is not closed would swallow the rest of the file."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    start = lines.number + 1
    while True:
        try:
            record = next(reader, None)
        except csv.Error:
            raise RosterRefused("quotes", line=start) from None
        if record is None:
            return
        if lines.number > start:
            raise RosterRefused("quotes", line=start)
        start = lines.number + 1
        if record and (len(record) > 1 or record[0].strip()):
            yield record


def _require_whole(contents: Contents, lines: _Lines) -> None:
    """A file that was cut off would take cards away from people: its last line tells."""
    if not contents.lines:
        raise RosterRefused("no_lines")
    line, reason = contents.rejected[-1] if contents.rejected else (0, "")
    cut = reason == "few_columns" or (not lines.ended and reason in ("bad_valid_until", "bad_date"))
    if cut and line == lines.number:
        raise RosterRefused("truncated", line=line, rejected=contents.rejected)
    if not contents.accepted:
        raise RosterRefused("nothing_accepted", rejected=contents.rejected)


def _warnings(contents: Contents, layout: _Layout) -> list[RosterWarning]:
    warnings = []
    if contents.without_fact == contents.accepted:
        warnings.append(RosterWarning.NO_SECOND_FACT)
    if "valid_until" not in layout.columns:
        warnings.append(RosterWarning.NO_VALID_UNTIL)
    return warnings
