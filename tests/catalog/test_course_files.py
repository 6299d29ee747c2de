"""A provider's list of courses as people save it, and as nobody should."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import date
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.formula import ArrayFormula

from catalog import course_files, workbook_bombs
from catalog.course_files import Contents, FileRefused, Row, collected

HEADER = "code;title;area;language;level;hours"


def read(text: str | bytes, encoding: str = "utf-8") -> Contents:
    return course_files.read(io.BytesIO(text if isinstance(text, bytes) else text.encode(encoding)))


def refusal(data: str | bytes) -> FileRefused:
    with pytest.raises(FileRefused) as refused:
        read(data)
    return refused.value


def workbook(*rows: Sequence[Any]) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in rows:
        book.active.append(list(row))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


SPANISH = Row(2, "ST-1", "Spaans voor beginners", "languages", "nl", "A1", 20)


def test_list_is_read_with_what_it_says() -> None:
    contents = read(f"{HEADER}\nST-1;Spaans voor beginners;languages;nl;A1;20\n")
    assert contents == Contents([SPANISH], [])


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_usual_encodings_separators_and_line_ends_are_read(delimiter: str, encoding: str, ending: str) -> None:
    text = ending.join(["Code;Intitulé;Domaine;Durée", "F-1;Français à l’école;Langues;8 h", ""])
    contents = read(text.replace(";", delimiter), encoding)
    assert contents.rows == [Row(2, "F-1", "Français à l’école", "Langues", hours=8)]


def test_names_of_columns_languages_and_levels_are_understood_in_three_languages() -> None:
    contents = read(
        "Cursuscode;Titel;Thema;Taal;Niveau;Duur;Iets anders\n"
        "1;Een;talen;Nederlands;Beginners;4,0;x\n"
        "2;Twee;talen;français;gevorderd;10 uur;x\n"
        "3;Drie;talen;English;b1;1;x\n"
    )
    said = [(row.language, row.level, row.hours) for row in contents.rows]
    assert said == [("nl", "starter", 4), ("fr", "advanced", 10), ("en", "B1", 1)]


def test_cell_may_hold_separators_quotes_and_lines() -> None:
    contents = read('code;title;description\n1;"Word; ""en"" meer";"Eerst dit.\nDan dat."\n2;Twee;\n')
    assert [(row.line, row.title, dict(row.descriptions)) for row in contents.rows] == [
        (2, 'Word; "en" meer', {"": "Eerst dit.\nDan dat."}),
        (4, "Twee", {}),
    ]


def test_description_may_begin_with_a_dash_and_hold_a_vertical_tab() -> None:
    texts = ["- Leer rekenen\n- En meer", "+ 3 modules", "@home", "=) leuk", "Dit.\vDat.", "Dit.\aDat.", None]
    contents = collected(
        (line, {"code": f"{line}", "title": "T", "description_nl": text}) for line, text in enumerate(texts)
    )
    assert [row.descriptions["nl"] for row in contents.rows] == [*texts[:4], "Dit. Dat."]
    assert contents.rejected == [(5, "control"), (6, "formula")]


def test_workbook_is_read_like_a_csv_file() -> None:
    data = workbook(HEADER.split(";"), ["ST-1", "Spaans voor beginners", "languages", "nl", "A1", 20], [], [1, 2.0])
    assert read(data).rows == [SPANISH, Row(4, "1", "2")]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (";Title;languages;nl;A1;20", "no_code"),
        ("1; ;languages;nl;A1;20", "no_title"),
        ("1;Title;languages;de;A1;20", "language"),
        ("1;Title;languages;nl;C9;20", "level"),
        *(
            (f"1;Title;languages;nl;A1;{hours}", "hours")
            for hours in ("0", "1001", "1e309", "x", "2.5", "٣", "9" * 500)
        ),
        (f"{'c' * 51};Title;languages;nl;A1;20", "long_code"),
        (f"1;{'t' * 201};languages;nl;A1;20", "long_title"),
        *((f"1;{start}cmd|' /C calc'!A0;languages;nl;A1;20", "formula") for start in ("=", "+", "-", "@", " =")),
        ("-1;Title;languages;nl;A1;20", "formula"),
        ("1;Ti\x07tle;languages;nl;A1;20", "control"),
        ("ST-1;Twice;languages;nl;A1;20", "duplicate"),
    ],
)
def test_row_with_a_fault_is_left_out_with_its_line_and_the_others_are_read(row: str, fault: str) -> None:
    contents = read(f"{HEADER}\nST-1;Spaans voor beginners;languages;nl;A1;20\n{row}\nST-2;Twee;;;;\n")
    assert [each.code for each in contents.rows] == ["ST-1", "ST-2"]
    assert contents.rejected == [(3, fault)]


def test_short_and_long_rows_are_read_by_their_first_cells() -> None:
    assert read("code;title;area\n1;Een\n2;Twee;x;y;z\n").rows == [Row(2, "1", "Een"), Row(3, "2", "Twee", "x")]


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("https://x.example/1?a=b@c", None),
        ("http://x.example/1", "address"),
        ("javascript:alert(1)", "address"),
        ("https://me@x.example/1", "address"),
        ("https://x.example/1#part", "address"),
        ("https://x.example/*", "address"),
        ("https://x.example/é", "address"),
    ],
)
def test_address_of_a_course_begins_with_https(address: str, fault: str | None) -> None:
    contents = read(f"code;title;url\n1;Een;{address}\n")
    assert contents.rejected == ([(2, fault)] if fault else [])


def test_formula_in_a_workbook_is_never_worked_out() -> None:
    of_cells = ArrayFormula("B4:B4", "=1+1")
    contents = read(
        workbook(["code", "title"], ["1", "=1+1"], ["2", '=HYPERLINK("http://x")'], ["3", of_cells], ["4", "Vier"])
    )
    assert [row.code for row in contents.rows] == ["4"]
    assert contents.rejected == [(2, "formula"), (3, "formula"), (4, "formula")]


def test_day_in_a_workbook_is_text() -> None:
    assert read(workbook(["code", "title"], ["1", date(2027, 2, 28)])).rows[0].title.startswith("2027-02-28")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty"),
        (f"{HEADER}\n", "no_rows"),
        ("name of nothing;x\n1;2\n", "columns"),
        ("code;titel;title\n1;2;3\n", "twice"),
        (b"GIF89a\0\0\0", "binary"),
        (b"code;title\n1;\x81\x8d\x9d\n", "encoding"),
        ('code;title\n1;"Een"x;\n', "quotes"),
        ('code;title\n1;"Een\n2;Twee\n', "quotes"),
        (b"PK\x03\x04 and no workbook", "workbook"),
        (";".join(f"c{number}" for number in range(61)) + "\n", "too_many_columns"),
        (b"code;title\n" + b"1;" + b"x" * 200_000 + b"\n", "quotes"),
    ],
)
def test_file_that_is_no_list_is_refused_as_a_whole(data: str | bytes, code: str) -> None:
    refused = refusal(data)
    assert refused.code == code
    assert "%(" not in refused.message


def test_missing_columns_are_named() -> None:
    assert refusal("titre;x\n1;2\n").names == ["code"]
    assert refusal("area;x\n1;2\n").message.endswith("code, titel.")


def test_file_of_a_hundred_thousand_rows_is_refused() -> None:
    rows = "".join(f"{number};Titel {number}\n" for number in range(100_000))
    assert refusal(f"code;title\n{rows}").code == "too_many_rows"


def test_file_that_is_too_big_is_not_read_further() -> None:
    class Endless(io.BytesIO):
        given = 0

        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert size > 0
            self.given += size
            return b"x" * size

    endless = Endless()
    with pytest.raises(FileRefused, match="too_big"):
        course_files.read(endless)
    assert endless.given == course_files.MAX_BYTES + 1


def with_part(data: bytes, name: str, content: bytes) -> bytes:
    """The same workbook with one part more, or another."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            if part.filename != name:
                new.writestr(part, old.read(part))
        new.writestr(name, content)
    return out.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


def test_workbook_that_is_huge_inside_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = with_part(workbook(["code", "title"]), "xl/media/zeros.bin", b"\0" * (workbook_bombs.MAX_UNPACKED + 1))
    assert len(bomb) < 200_000
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # nothing is read
    assert refusal(bomb).code == "unpacked"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_workbook_with_entities_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    parsed: list[object] = []
    monkeypatch.setattr(openpyxl, "load_workbook", lambda *args, **kwargs: parsed.append(args))
    laughs = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><worksheet>&b;</worksheet>'
    assert refusal(with_part(workbook(["code", "title"]), SHEET, laughs.encode(encoding))).code == "workbook"
    assert parsed == []


MAIN = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def sheet(rows: bytes) -> bytes:
    return b'<x:worksheet xmlns:x="%b" xmlns="%b"><sheetData>%b</sheetData></x:worksheet>' % (MAIN, MAIN, rows)


def texts(each: bytes) -> bytes:
    return b'<sst xmlns="%b">%b</sst>' % (MAIN, each)


MANY = workbook_bombs.MAX_HELD + 1


@pytest.mark.parametrize(
    ("name", "bomb"),
    [
        (SHEET, sheet(b"<row>" + b"<c/>" * MANY + b"</row>")),
        (SHEET, sheet(b"<row>" + b"<c/><!-- <row> -->" * MANY + b"</row>")),
        (SHEET, sheet(b"<row><row/>" + b"<c/>" * MANY + b"</row>")),
        (SHEET, sheet(b"<row>" + b'<c r="A1" s="1" t="s"/>' * (MANY // 4 + 1) + b"</row>")),
        (SHEET, sheet(b"<row/>" * MANY)),
        (SHEET, sheet((b"<row>" + b"<c/>" * 999 + b"</row>") * (workbook_bombs.MAX_ELEMENTS // 1000 + 1))),
        (SHEET, sheet(b'<row><c a="' + b"a" * 400_000 + b'"/></row>')),
        (SHEET, sheet(b"<row>" + b"".join(b"<c%d/>" % number for number in range(9_000)) + b"</row>")),
        ("xl/sharedStrings.xml", texts(b"<si/>" * MANY)),
        ("xl/styles.xml", b"<styleSheet><cellXfs>" + b"<xf/>" * MANY + b"</cellXfs></styleSheet>"),
        ("a_sheet.bin", sheet(b"<row>" + b"<c/>" * MANY + b"</row>")),
    ],
    ids=[
        *("cells", "comments", "rows in a row", "attributes", "rows", "all", "a long tag", "names"),
        *("texts", "styles", "any name"),
    ],
)
def test_workbook_that_would_fill_the_memory_is_refused(name: str, bomb: bytes) -> None:
    data = with_part(workbook(["code", "title"], ["1", "Een"]), name, bomb)
    assert len(data) < 300_000
    assert refusal(data).code == "unpacked"


def test_longest_list_is_no_bomb() -> None:
    cells = "".join(f'<c r="{column}20001" s="1" t="s"><v>220001</v></c>' for column in "ABCDEFGHIJK")
    row = f'<row r="20001" spans="1:11">{cells}</row>'.encode()
    data = with_part(workbook(), SHEET, sheet(row * (course_files.MAX_ROWS + 1)))
    six_each = texts(b"<si><t>Titel</t></si>" * course_files.MAX_ROWS * 6)
    workbook_bombs.require_small(with_part(data, "xl/sharedStrings.xml", six_each))


def test_workbook_is_read_to_its_end_whatever_it_says_of_its_size() -> None:
    data = workbook(["code", "title"], ["1", "Een"], ["2", "Twee"])
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        honest = archive.read(SHEET)
    assert b'"A1:B3"' in honest
    contents = read(with_part(data, SHEET, honest.replace(b'"A1:B3"', b'"A1"')))
    assert [row.code for row in contents.rows] == ["1", "2"]


def test_workbook_with_a_damaged_part_is_refused() -> None:
    data = bytearray(workbook(["code", "title"]))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        part = archive.getinfo("xl/styles.xml")
    begins = part.header_offset + 30 + len(part.filename)
    data[begins : begins + 40] = b"\xff" * 40
    assert refusal(bytes(data)).code == "workbook"


@pytest.mark.parametrize("content", [b"", b"<worksheet", b"\xff\xfe", b"<worksheet xmlns='x'/>"])
def test_workbook_with_a_broken_sheet_is_refused(content: bytes) -> None:
    assert refusal(with_part(workbook(["code", "title"]), SHEET, content)).code in ("workbook", "columns")


def test_workbook_with_its_last_row_far_down_is_read_no_further_than_allowed() -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for row, column, value in ((1, 1, "code"), (1, 2, "title"), (1_048_576, 1, "1"), (1_048_576, 2, "Een")):
        book.active.cell(row, column, value)
    out = io.BytesIO()
    book.save(out)
    assert refusal(out.getvalue()).code == "too_many_rows"
