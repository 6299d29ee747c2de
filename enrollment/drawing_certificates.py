"""A certificate of participation on paper: one page as PDF, the same bytes for the same facts."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, override

from catalog import dates
from libraries.colors import accent_for

# It takes 30 MB, which only a process that draws needs: it is imported there.
if TYPE_CHECKING:
    from fpdf import FPDF
    from fpdf.fonts import TTFFont

# It writes which letters are drawn.
logging.getLogger("fontTools").setLevel(logging.WARNING)

_FONTS = Path(__file__).parent / "fonts"
_REGULAR, _BOLD = "atkinson-hyperlegible-next-regular.ttf", "atkinson-hyperlegible-next-bold.ttf"
# Greek, Cyrillic and rare Latin letters.
_OTHERS = "dejavu-sans.ttf"
# Of what is left out in the midst of a text or at its ends.
_EMPTY, _BETWEEN = re.compile(r"[(\[«“]\s*[)\]»”]"), " :;,/–-"
_INK, _MUTED = (22, 17, 12), (94, 84, 72)
# In millimetres, of A4 lying down: the band of color, where the text begins and how wide it may be.
_WIDTH, _HEIGHT, _BAND, _LEFT, _TEXT = 297.0, 210.0, 16.0, 38.0, 225.0
_CODE_TOP = 168.0
# The shelf of the portal: books in the color of the institution, how much of it and how high, beside the code.
_SHELF, _SPINE, _BESIDE = (208.0, 195.0), 5.0, 165.0
_BOOKS = (
    (1.0, 24),
    (0.55, 20),
    (0.3, 27),
    (1.0, 18),
    (0.75, 23),
    (0.3, 16),
    (0.55, 26),
    (1.0, 21),
    (0.3, 25),
    (0.75, 19),
)


@dataclass(frozen=True)
class Facts:
    """`color` as an institution has it (#rrggbb); `address` is where whoever has the paper checks the code."""

    name: str = field(repr=False)
    course: str
    hours: int
    finished_at: datetime
    institution: str
    color: str
    provider: str
    code: str
    address: str
    language: str


def draw(facts: Facts) -> bytes:
    from fpdf import FPDF

    pdf = FPDF(orientation="landscape", unit="mm", format="A4")
    with override(facts.language), _fonts(pdf):
        _begin(pdf, facts)
        _draw_frame(pdf, facts)
        _draw_words(pdf, facts)
        _draw_check(pdf, facts)
        return bytes(pdf.output())


def drawable(text: str) -> str:
    """What of it can be drawn, on one line; what no font of ours has is left out, as are pictures, with the brackets
    around it and what parted it from the rest."""
    known = _letters()
    plain = " ".join(unicodedata.normalize("NFC", text).split())
    drawn = "".join(each for each in plain if ord(each) in known)
    if drawn != plain:
        drawn = _EMPTY.sub("", drawn).strip(_BETWEEN)
    return " ".join(drawn.split())


def is_whole(name: str) -> bool:
    """Whether every letter of a name can be drawn: one that is cut is nobody's name."""
    plain = unicodedata.normalize("NFC", name)
    return bool(drawable(plain)) and all(ord(each) in _letters() for each in plain if each.isalpha())


@cache
def _letters() -> frozenset[int]:
    from fpdf import FPDF

    with _fonts(FPDF()) as fonts:
        return frozenset(code for font in fonts for code in font.cmap)


def _begin(pdf: FPDF, facts: Facts) -> None:
    pdf.set_auto_page_break(False)
    pdf.set_creation_date(facts.finished_at)
    pdf.set_lang(facts.language)
    pdf.set_title(_("Certificate of participation: %(course)s") % {"course": drawable(facts.course)})
    pdf.set_author(drawable(facts.institution))
    pdf.set_creator("Leerkaart")
    pdf.set_producer("Leerkaart")
    pdf.add_page()


@contextmanager
def _fonts(pdf: FPDF) -> Iterator[list[TTFFont]]:
    """Their files are closed afterwards, also of those in which nothing was written."""
    pdf.add_font("text", "", _FONTS / _REGULAR)
    pdf.add_font("text", "B", _FONTS / _BOLD)
    pdf.add_font("others", "", _FONTS / _OTHERS)
    pdf.set_fallback_fonts(["others"], exact_match=False)
    from fpdf.fonts import TTFFont

    fonts = [font for font in pdf.fonts.values() if isinstance(font, TTFFont)]
    try:
        yield fonts
    finally:
        for font in fonts:
            font.close()


def _draw_frame(pdf: FPDF, facts: Facts) -> None:
    """The institution's color, in the shade that can be read on paper; its name stands in it too."""
    accent = _channels(accent_for(facts.color).light)
    pdf.set_fill_color(*accent)
    pdf.rect(0, 0, _BAND, _HEIGHT, style="F")
    pdf.set_text_color(*accent)
    _write(pdf, 20, drawable(facts.institution), size=17, bold=True)


def _draw_words(pdf: FPDF, facts: Facts) -> None:
    pdf.set_text_color(*_INK)
    _write(pdf, 44, _("Certificate of participation"), size=34, bold=True)
    _write(pdf, 68, _("We confirm that"), size=14, color=_MUTED)
    name = drawable(facts.name) if is_whole(facts.name) else ""
    _write_or_leave_a_line(pdf, 77, name, size=26, most_lines=2)
    below = max(pdf.get_y(), 90.0)
    _write(pdf, below + 4, _("followed this course to its end:"), size=14, color=_MUTED)
    _write_or_leave_a_line(pdf, below + 13, drawable(facts.course), size=22, most_lines=3)
    day = dates.written(localtime(facts.finished_at), "j F Y")
    hours = ngettext("%(hours)d hour", "%(hours)d hours", facts.hours) % {"hours": facts.hours}
    told = _("A course of %(provider)s, of about %(hours)s. Finished on %(day)s.")
    words = told % {"provider": drawable(facts.provider), "hours": hours, "day": day}
    _write(pdf, pdf.get_y() + 3, words, size=13, most_lines=2)


def _write_or_leave_a_line(pdf: FPDF, top: float, text: str, *, size: float, most_lines: int) -> None:
    """A line is for whoever writes by hand what we cannot draw."""
    if text:
        return _write(pdf, top, text, size=size, bold=True, most_lines=most_lines)
    pdf.set_draw_color(*_MUTED)
    pdf.line(_LEFT, top + 12, _LEFT + 150, top + 12)
    pdf.set_y(top + 13)


def _draw_check(pdf: FPDF, facts: Facts) -> None:
    _draw_shelf(pdf, facts)
    pdf.set_draw_color(*_MUTED)
    pdf.line(_LEFT, _CODE_TOP - 5, _LEFT + _TEXT, _CODE_TOP - 5)
    _write(pdf, _CODE_TOP, _("Is this certificate real? Check its code here:"), size=11, color=_MUTED, width=_BESIDE)
    _write(pdf, _CODE_TOP + 7, facts.address, size=12, width=_BESIDE, link=facts.address)
    _write(pdf, _CODE_TOP + 15, facts.code, size=17, bold=True)
    _write(
        pdf,
        _CODE_TOP + 25,
        _("It says that somebody took part. It is no diploma."),
        size=10,
        color=_MUTED,
        width=_BESIDE,
    )


def _draw_shelf(pdf: FPDF, facts: Facts) -> None:
    left, foot = _SHELF
    for place, (strength, height) in enumerate(_BOOKS):
        shade = [round(255 - (255 - each) * strength) for each in _channels(accent_for(facts.color).light)]
        pdf.set_fill_color(*shade)
        pdf.rect(left + place * (_SPINE + 0.5), foot - height, _SPINE, height, style="F")


def _write(
    pdf: FPDF,
    top: float,
    text: str,
    *,
    size: float,
    bold: bool = False,
    color: tuple[int, int, int] | None = None,
    most_lines: int = 1,
    width: float = _TEXT,
    link: str = "",
) -> None:
    """Smaller where it would need more lines; afterwards the position is below it."""
    before = pdf.text_color
    if color is not None:
        pdf.set_text_color(*color)
    style = "B" if bold else ""
    while True:
        pdf.set_font("text", style, size)
        height = size * 0.45
        pdf.set_xy(_LEFT, top)
        lines = pdf.multi_cell(width, height, text, dry_run=True, output="LINES", align="L")
        assert isinstance(lines, list)
        if len(lines) <= most_lines or size <= 6:
            break
        size *= 0.9
    pdf.set_xy(_LEFT, top)
    pdf.multi_cell(width, height, text, align="L", link=link, new_x="LEFT", new_y="NEXT")
    pdf.text_color = before


def _channels(color: str) -> tuple[int, int, int]:
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return red, green, blue
