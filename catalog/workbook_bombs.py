"""Whether a workbook is small enough to be parsed: a few kilobytes of a zip file can fill the memory of a machine."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from typing import IO
from xml.parsers import expat

# What its parts may be together when they are unpacked, and how many they may be.
MAX_UNPACKED, MAX_PARTS = 60_000_000, 500
# Of elements and their attributes: all, those held at once (a hundred times as large as they stand there), and names.
MAX_ELEMENTS, MAX_HELD, MAX_NAMES = 2_000_000, 200_000, 1_000
_CHUNK, _LONGEST_TAG = 1 << 16, 1 << 18
# Once openpyxl has read one of these, it holds no more of it than that it was there.
_LET_GO = {f"http://schemas.openxmlformats.org/spreadsheetml/2006/main {name}" for name in ("row", "si")}


class TooLarge(Exception):
    pass


def require_small(data: bytes) -> None:
    """Takes little memory itself. Raises TooLarge, or whatever the library says of a damaged part; what is not even XML
    is left to who needs it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = archive.infolist()
        # More than it says, zipfile never unpacks of a part.
        if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
            raise TooLarge
        weight = _Weight()
        for part in parts:  # whatever its name: a sheet may have any
            with archive.open(part) as file:
                weight.add(file)


class _Weight:
    """Counts by a parser and not by what the bytes look like, for which comments, encodings and prefixes are traps."""

    def __init__(self) -> None:
        self._elements = 0
        self._held = 0
        self._begun: list[int] = []

    def add(self, file: IO[bytes]) -> None:
        names: dict[str, str] = {}
        parser = expat.ParserCreate(None, " ", names)
        parser.ordered_attributes = True
        parser.StartElementHandler, parser.EndElementHandler = self._begin, self._end
        parser.StartDoctypeDeclHandler = _refuse
        self._held, self._begun, read = 0, [], 0
        with suppress(expat.ExpatError):
            while chunk := file.read(_CHUNK):
                parser.Parse(chunk)
                read += len(chunk)
                # A parser holds the whole of a tag, and each name for good.
                if read - parser.CurrentByteIndex > _LONGEST_TAG or len(names) > MAX_NAMES:
                    raise TooLarge

    def _begin(self, name: str, attributes: list[str]) -> None:
        if name in _LET_GO:
            self._begun.append(self._held)
        size = 1 + len(attributes) // 2
        self._elements += size
        self._held += size
        if self._held > MAX_HELD or self._elements > MAX_ELEMENTS:
            raise TooLarge

    def _end(self, name: str) -> None:
        if name in _LET_GO:
            self._held = self._begun.pop() + 1


def _refuse(*_doctype: object) -> None:
    """Entities can make a small part large once it is parsed; a workbook has none."""
    raise ValueError("a workbook with a DOCTYPE")
