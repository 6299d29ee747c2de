"""Read a provider's list of courses from a CSV or an XLSX file: what it says of each, and why a row is left out.

A formula is never worked out, and what a spreadsheet would take for one is taken in as a description alone, where lists
begin with a dash: codes and titles are written into other spreadsheets later.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from catalog import workbook_bombs

MAX_BYTES = 5_000_000
MAX_ROWS, MAX_COLUMNS = 20_000, 60
LONGEST = {"code": 50, "title": 200, "launch_url": 500}
LONGEST_DESCRIPTION = 2000
LANGUAGES = ("nl", "fr", "en")
_FORMULA = ("=", "+", "-", "@")

_COLUMNS = {
    "code": ("code", "cursuscode", "code_du_cours", "course_code"),
    "title": ("titel", "naam", "titre", "intitule", "title", "name"),
    "area": ("onderwerp", "domein", "thema", "categorie", "rubriek", "domaine", "theme", "area", "subject", "category"),
    "language": ("taal", "langue", "language"),
    "level": ("niveau", "level"),
    "hours": ("uren", "duur", "heures", "duree", "hours", "length"),
    "description": ("beschrijving", "omschrijving", "description"),
    **{f"description_{code}": (f"description_{code}", f"beschrijving_{code}") for code in LANGUAGES},
    "launch_url": ("adres", "adresse", "launch_url", "address", "url"),
}
_MEANING = {name: column for column, names in _COLUMNS.items() for name in names}
# As somebody is told that they are missing.
_NEEDED = {"code": _("code"), "title": _("title")}
_LANGUAGES = {
    **{code: code for code in LANGUAGES},
    **dict.fromkeys(("nederlands", "dutch", "neerlandais"), "nl"),
    **dict.fromkeys(("frans", "french", "francais"), "fr"),
    **dict.fromkeys(("engels", "english", "anglais"), "en"),
}
_LEVELS = {
    **{level.casefold(): level for level in ("A1", "A2", "B1", "B2")},
    **dict.fromkeys(("starter", "beginner", "beginners", "basis", "debutant", "debutants", "basic"), "starter"),
    **dict.fromkeys(("advanced", "gevorderd", "gevorderden", "avance", "avances"), "advanced"),
}


class Fault(TextChoices):
    """Why a row is left out; the others are taken in."""

    NO_CODE = "no_code", _("The code is missing.")
    NO_TITLE = "no_title", _("The title is missing.")
    LONG_CODE = "long_code", _("The code is longer than 50 characters.")
    LONG_TITLE = "long_title", _("The title is longer than 200 characters.")
    LONG_DESCRIPTION = "long_description", _("A description is longer than 2,000 characters.")
    LANGUAGE = "language", _("The language is not nl, fr or en.")
    LEVEL = "level", _("The level is not starter, advanced, A1, A2, B1 or B2.")
    HOURS = "hours", _("The length is not a whole number of hours between 1 and 1,000.")
    ADDRESS = "address", _("The address is not one that begins with https://.")
    DUPLICATE = "duplicate", _("This code was on an earlier row.")
    FORMULA = "formula", _("A cell begins with =, +, - or @, or holds a formula. Write only its value.")
    CONTROL = "control", _("A cell holds characters that cannot be shown.")
    UNKNOWN_AREA = "unknown_area", _("This area is not known here. Add it first, or write it as it is called here.")
    NO_AREA = "no_area", _("The title is new, and its area is not told. Choose one for new titles.")
    NO_LANGUAGE = "no_language", _("The title is new, and its language is not told. Choose one for new titles.")
    NO_LEVEL = "no_level", _("The title is new, and its level is not told. Choose one for new titles.")
    NO_HOURS = "no_hours", _("The title is new, and its length is not told. Choose one for new titles.")


_REFUSALS = {
    "empty": _("The file is empty."),
    "no_rows": _("The file has a first row with names of columns, but no courses."),
    "columns": _("The first row must name the columns. Missing: %(names)s."),
    "twice": _("The first row names a column twice: %(names)s."),
    "too_big": _("The file is too big: at most 5 MB."),
    "too_many_rows": _("The file has more than 20,000 rows."),
    "too_many_columns": _("The file has more than 60 columns."),
    "binary": _("This is neither a CSV nor an XLSX file."),
    "encoding": _("The file is not written in a known encoding. Save it as “CSV UTF-8”."),
    "quotes": _("The quotation marks are wrong on row %(row)s, or a cell there is far too long."),
    "workbook": _("The XLSX file cannot be read. Save it again, or save it as “CSV UTF-8”."),
    "unpacked": _("The XLSX file is far larger inside than a list of courses can be."),
}


class FileRefused(Exception):
    """The whole file is refused. `code` is a key of the texts above."""

    def __init__(self, code: str, *, names: Sequence[object] = (), row: int = 0) -> None:
        super().__init__(code)
        self.code, self.names, self.row = code, names, row

    @property
    def message(self) -> str:
        """For people, in the language that is active when it is read."""
        return str(_REFUSALS[self.code]) % {"names": ", ".join(map(str, self.names)), "row": self.row}


@dataclass(frozen=True)
class Row:
    """What a list says of one course; None: it says nothing. `line` is its row in the file, where the first names the
    columns; `descriptions` are by language, "" for that of the course."""

    line: int
    code: str
    title: str
    area: str | None = None
    language: str | None = None
    level: str | None = None
    hours: int | None = None
    descriptions: Mapping[str, str] = field(default_factory=dict)
    launch_url: str | None = None


# A row that was left out: its number and the code of a `Fault`.
Rejection = tuple[int, str]


@dataclass(frozen=True)
class Contents:
    rows: Sequence[Row]
    rejected: Sequence[Rejection]


class _Faulty(ValueError):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def read(source: BinaryIO) -> Contents:
    """In the order of the file. Raises `FileRefused`."""
    data = source.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise FileRefused("too_big")
    if not data.strip(b"\0 \r\n\t\xef\xbb\xbf"):
        raise FileRefused("empty")
    table = _workbook(data) if data.startswith(b"PK\x03\x04") else _csv(data)
    return _contents(table)


# --- The table in the file: the number of each row, and its cells; None is a formula ---

Table = Iterator[tuple[int, list[str | None]]]


def _csv(data: bytes) -> Table:
    text = _decoded(data)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error:
            raise FileRefused("quotes", row=line) from None
        if cells is None:
            return
        yield line, list(cells)


def _decoded(data: bytes) -> str:
    """UTF-8, UTF-16 as Excel writes it (with its mark), or Windows-1252, in which Excel saves a plain CSV file."""
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    if not marked and b"\0" in data:
        raise FileRefused("binary")
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FileRefused("encoding")


def _delimiter(text: str) -> str:
    header = text.lstrip().partition("\n")[0]
    return max(";,\t", key=header.count)


def _workbook(data: bytes) -> Table:
    """The first sheet. Whatever ails a workbook that somebody made by hand, the parser may say in its own way."""
    import openpyxl  # it takes 9 MB, which few processes need

    try:
        workbook_bombs.require_small(data)
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
    except workbook_bombs.TooLarge:
        raise FileRefused("unpacked") from None
    except Exception:
        raise FileRefused("workbook") from None
    with closing(book):
        rows = _sheet(book)
        while True:
            try:
                row = next(rows, None)
            except FileRefused:
                raise
            except Exception:
                raise FileRefused("workbook") from None
            if row is None:
                return
            yield row


def _sheet(book: Any) -> Table:
    sheet = next(iter(book.worksheets), None)
    if sheet is None:
        raise FileRefused("workbook")
    sheet.reset_dimensions()  # what a file says of its own size need not be true
    found = sheet.iter_rows(max_col=MAX_COLUMNS + 1)
    for number, cells in enumerate(found, start=1):
        yield number, [None if cell.data_type == "f" else _text(cell.value) for cell in cells]


def _text(value: object) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


# --- What the cells mean ---


def _contents(table: Table) -> Contents:
    columns = _columns(next(table, (1, []))[1])
    return collected(
        (line, {name: cells[at] for name, at in columns.items() if at < len(cells)})
        for line, cells in _counted(table)
        if any(cell is None or cell.strip() for cell in cells)
    )


def _counted(table: Table) -> Table:
    """Rows without anything count too: a workbook may have a million of them."""
    for number, row in enumerate(table, start=1):
        if number > MAX_ROWS:
            raise FileRefused("too_many_rows")
        yield row


def collected(found: Iterable[tuple[int, Mapping[str, str | None]]]) -> Contents:
    """Rows by the names of our columns, each with its number, wherever they come from. Raises `FileRefused`."""
    rows: list[Row] = []
    rejected: list[Rejection] = []
    seen: set[str] = set()
    for number, (line, cells) in enumerate(found, start=1):
        if number > MAX_ROWS:
            raise FileRefused("too_many_rows")
        try:
            row = _row(line, cells)
            if row.code in seen:
                raise _Faulty(Fault.DUPLICATE)
            seen.add(row.code)
            rows.append(row)
        except _Faulty as error:
            rejected.append((line, error.fault.value))
    if not rows and not rejected:
        raise FileRefused("no_rows")
    return Contents(rows, rejected)


def _columns(header: Sequence[str | None]) -> dict[str, int]:
    if any(cell is None or cell.strip() for cell in header[MAX_COLUMNS:]):
        raise FileRefused("too_many_columns")
    found: dict[str, int] = {}
    for at, cell in enumerate(header):
        name = _MEANING.get(plain(cell or ""))
        if name in found:
            raise FileRefused("twice", names=[(cell or "").strip()])
        if name:
            found[name] = at
    if missing := [called for name, called in _NEEDED.items() if name not in found]:
        raise FileRefused("columns", names=missing)
    return found


def _row(line: int, cells: Mapping[str, str | None]) -> Row:
    told = {name: _cell(name, cell) for name, cell in cells.items()}
    code, title = told.get("code", ""), " ".join(told.get("title", "").split())
    if not code or not title:
        raise _Faulty(Fault.NO_TITLE if code else Fault.NO_CODE)
    if len(code) > LONGEST["code"] or len(title) > LONGEST["title"]:
        raise _Faulty(Fault.LONG_CODE if len(code) > LONGEST["code"] else Fault.LONG_TITLE)
    return Row(
        line=line,
        code=code,
        title=title,
        area=told.get("area") or None,
        language=_one_of(_LANGUAGES, told.get("language", ""), Fault.LANGUAGE),
        level=_one_of(_LEVELS, told.get("level", ""), Fault.LEVEL),
        hours=_hours(told.get("hours", "")),
        descriptions=_descriptions(told),
        launch_url=_address(told.get("launch_url", "")),
    )


def _cell(name: str, cell: str | None) -> str:
    is_description = name.startswith("description")
    if cell is None or (not is_description and cell.lstrip().startswith(_FORMULA)):
        raise _Faulty(Fault.FORMULA)
    # Office programs write a new line inside a paragraph as a vertical tab.
    text = (cell.replace("\v", " ") if is_description else cell).strip()
    if any(unicodedata.category(each) in ("Cc", "Cs") and not (is_description and each in "\r\n\t") for each in text):
        raise _Faulty(Fault.CONTROL)
    return text


def _one_of(known: Mapping[str, str], text: str, fault: Fault) -> str | None:
    if not text:
        return None
    if found := known.get(plain(text)):
        return found
    raise _Faulty(fault)


def _hours(text: str) -> int | None:
    if not text:
        return None
    number = plain(text).removesuffix("_uur").removesuffix("_uren").removesuffix("_h").removesuffix("_0")
    if not number.isascii() or not number.isdecimal() or len(number) > 4 or not 1 <= int(number) <= 1000:
        raise _Faulty(Fault.HOURS)
    return int(number)


def _descriptions(told: Mapping[str, str]) -> dict[str, str]:
    found = {name.partition("_")[2]: text for name, text in told.items() if name.startswith("description") and text}
    if any(len(text) > LONGEST_DESCRIPTION for text in found.values()):
        raise _Faulty(Fault.LONG_DESCRIPTION)
    return found


_is_address: Callable[[str], None] = URLValidator(schemes=["https"])


def _address(text: str) -> str | None:
    if not text:
        return None
    try:
        _is_address(text)
    except ValidationError:
        raise _Faulty(Fault.ADDRESS) from None
    # As where one is typed in the workplace: no name before the host, no part of a page, no stand-ins.
    if len(text) > LONGEST["launch_url"] or not text.isascii() or "@" in urlsplit(text).netloc or set(text) & set("#*"):
        raise _Faulty(Fault.ADDRESS)
    return text


def plain(name: str) -> str:
    """Without case and accents, with _ between its words: "Durée" is duree."""
    apart = unicodedata.normalize("NFKD", name.strip().casefold())
    letters = "".join(each if each.isalnum() else " " for each in apart if not unicodedata.combining(each))
    return "_".join(letters.split())
