"""The shelf: seats as books, drawn as SVG. A book keeps its place, height and color; it only comes and goes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from catalog.covers import COLORS, Dice, color_of

# Sections stand side by side as one long plank where there is room, and above each other as a bookcase on a phone.
SECTION_WIDTH, SECTION_HEIGHT, PLANK = 260, 124, 117
BOOKS_IN_SECTION = 25
LEAN = 8  # degrees


@dataclass(frozen=True)
class Book:
    x: float
    width: float
    height: int
    color: str
    bands: int

    @property
    def top(self) -> int:
        return PLANK - self.height


def filled_of(books: int, *, taken: int, cap: int) -> int:
    """How many books stand for the seats taken: never none while one is taken, never all while one is free."""
    if taken <= 0 or cap <= 0:
        return 0
    if taken >= cap:
        return books
    return min(books - 1, max(1, round(books * taken / cap)))


def sections(*, taken: int, cap: int, areas: Sequence[str] = (), count: int = 4) -> list[str]:
    """The shelf in `count` SVG elements of 25 books; `areas`: the area of each course, for the mix of colors."""
    filled = filled_of(count * BOOKS_IN_SECTION, taken=taken, cap=cap)
    colors = [color_of(area) for area in areas] or list(COLORS.values())
    return [_section(index, filled - index * BOOKS_IN_SECTION, colors) for index in range(count)]


def _section(index: int, filled: int, colors: Sequence[str]) -> str:
    books = "".join(_draw(list(_books(index, colors)), max(0, filled)))
    return (
        f'<svg viewBox="0 0 {SECTION_WIDTH} {SECTION_HEIGHT}" focusable="false">{books}'
        f'<path class="plank" d="M0 {PLANK}h{SECTION_WIDTH}v7H0z"/></svg>'
    )


def _books(index: int, colors: Sequence[str]) -> Iterator[Book]:
    dice = Dice(f"shelf/{index}")
    widths = [8 + dice.throw(4) for _ in range(BOOKS_IN_SECTION)]
    stretch = SECTION_WIDTH / sum(widths)
    x = 0.5
    for width in widths:
        slot = width * stretch
        yield Book(
            round(x, 1),
            round(slot - 1, 1),
            66 + dice.throw(46),
            colors[dice.throw(len(colors))],
            dice.throw(4),
        )
        x += slot


def _draw(books: Sequence[Book], filled: int) -> Iterator[str]:
    """The last book leans against the one before it when there is room: then the free place beside it is not drawn."""
    leans = 1 < filled < BOOKS_IN_SECTION - 1
    for index, book in enumerate(books):
        if leans and index == filled - 1:
            yield f'<g transform="rotate(-{LEAN} {book.x + 11} {PLANK})translate(10)">{_spine(book)}</g>'
        elif index < filled:
            yield _spine(book)
        elif not (leans and index == filled):
            yield _gap(book)


def _spine(book: Book) -> str:
    spine = f'<path fill="{book.color}" d="{_outline(book)}"/>'
    return spine + "".join(_band(book, at) for at in _BANDS[book.bands])


_BANDS: tuple[tuple[int, ...], ...] = ((), (10,), (10, 14), (-16,))


def _band(book: Book, at: int) -> str:
    y = book.top + at if at > 0 else PLANK + at
    return f'<path fill="#fff" opacity=".5" d="M{book.x} {y}h{book.width}v2h-{book.width}z"/>'


def _gap(book: Book) -> str:
    return f'<path class="gap" d="{_outline(book)}"/>'


def _outline(book: Book) -> str:
    return f"M{book.x} {PLANK}v-{book.height}h{book.width}v{book.height}z"
