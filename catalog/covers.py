"""Covers without photos: drawn from a course's code and area, so that a course always has the same one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from math import cos, pi, sin

WIDTH, HEIGHT = 320, 192
TILE = 64
CREAM, BLACK = "#f6e9d0", "#14110d"

COLORS = {
    "office": "#2e6f73",
    "digital": "#34507e",
    "languages": "#b4472e",
    "time": "#8a6a1f",
    "health": "#4d7a3a",
    "communication": "#7a3f6d",
    "creative": "#a15c1d",
    "home": "#54606b",
}


@dataclass(frozen=True)
class Tones:
    base: str
    deep: str
    light: str


class Dice:
    """Throws that depend on the course alone, the same on every machine and in every version of Python."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._bytes = self._stream()

    def throw(self, sides: int) -> int:
        return next(self._bytes) % sides

    def _stream(self) -> Iterator[int]:
        block = 0
        while True:
            yield from sha256(f"{self._seed}/{block}".encode()).digest()
            block += 1


def color_of(area: str) -> str:
    """The color of an area's spines and covers; an area nobody drew a color for gets one of the others."""
    return COLORS.get(area) or list(COLORS.values())[Dice(area).throw(len(COLORS))]


def cover_svg(*, code: str, area: str) -> str:
    """The cover as an SVG element for the page itself: without styles, without a title (the title stands beside it)."""
    tones = _tones(color_of(area))
    shapes = "".join(_pattern_of(area)(Dice(f"{area}/{code}"), tones))
    return (
        f'<svg class="cover" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="xMidYMid slice" aria-hidden="true" '
        f'focusable="false"><path d="M0 0h{WIDTH}v{HEIGHT}H0z" fill="{tones.base}"/>{shapes}</svg>'
    )


def _tones(base: str) -> Tones:
    return Tones(base=base, deep=_mix(base, BLACK, 0.3), light=_mix(base, CREAM, 0.5))


def _mix(one: str, other: str, share: float) -> str:
    pairs = ((int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _path(fill: str, data: str) -> str:
    return f'<path fill="{fill}" d="{data}"/>'


def _circle(fill: str, x: int, y: int, radius: int) -> str:
    return f'<circle fill="{fill}" cx="{x}" cy="{y}" r="{radius}"/>'


def _tiles() -> Iterator[tuple[int, int]]:
    return ((x, y) for y in range(0, HEIGHT, TILE) for x in range(0, WIDTH, TILE))


def _arcs(dice: Dice, tones: Tones) -> Iterator[str]:
    """Languages: quarter rounds that turn towards and away from each other."""
    fills = (tones.deep, tones.light, tones.light, CREAM)
    for x, y in _tiles():
        right, low = x + TILE, y + TILE
        corner = (
            f"M{x} {y}h{TILE}a{TILE} {TILE} 0 0 1-{TILE} {TILE}z",
            f"M{right} {y}v{TILE}a{TILE} {TILE} 0 0 1-{TILE}-{TILE}z",
            f"M{right} {low}h-{TILE}a{TILE} {TILE} 0 0 1 {TILE}-{TILE}z",
            f"M{x} {low}v-{TILE}a{TILE} {TILE} 0 0 1 {TILE} {TILE}z",
        )[dice.throw(4)]
        if dice.throw(5):
            yield _path(fills[dice.throw(4)], corner)


def _pixels(dice: Dice, tones: Tones) -> Iterator[str]:
    """Digital: squares within squares."""
    for x, y in _tiles():
        outer, inner = ((tones.deep, tones.light), (tones.light, tones.base), (tones.base, CREAM))[dice.throw(3)]
        inset = (8, 16, 24)[dice.throw(3)]
        side = TILE - 2 * inset
        yield _path(outer, f"M{x} {y}h{TILE}v{TILE}h-{TILE}z")
        if dice.throw(4):
            yield _path(inner, f"M{x + inset} {y + inset}h{side}v{side}h-{side}z")


def _bars(dice: Dice, tones: Tones) -> Iterator[str]:
    """Office: columns of a chart, with one that stands out."""
    chosen = 1 + dice.throw(8)
    for column in range(10):
        height = 40 + 16 * dice.throw(8)
        fill = CREAM if column == chosen else (tones.deep, tones.light)[dice.throw(2)]
        yield _path(fill, f"M{column * 32 + 4} {HEIGHT}v-{height}h24v{height}z")


def _dials(dice: Dice, tones: Tones) -> Iterator[str]:
    """Time: rings, and a slice of the clock."""
    x, y = 96 + 16 * dice.throw(9), 64 + 16 * dice.throw(5)
    for radius, fill in ((208, tones.deep), (152, tones.base), (112, tones.light), (72, tones.base)):
        yield _circle(fill, x, y, radius)
    start, turn = dice.throw(24) / 2, 2 + dice.throw(7) / 2
    (ax, ay), (bx, by) = (_on_dial(x, y, hour) for hour in (start, start + turn))
    yield _path(CREAM, f"M{x} {y}L{ax} {ay}A112 112 0 0 1 {bx} {by}z")
    yield _circle(tones.deep, x, y, 16)


def _on_dial(x: int, y: int, hour: float) -> tuple[int, int]:
    angle = 2 * pi * hour / 12
    return round(x + 112 * sin(angle)), round(y - 112 * cos(angle))


def _waves(dice: Dice, tones: Tones) -> Iterator[str]:
    """Health: slow waves, and a sun or moon above them."""
    yield _circle(CREAM, 48 + 32 * dice.throw(8), 40 + 8 * dice.throw(4), 24 + 4 * dice.throw(4))
    for row, fill in enumerate((tones.light, tones.deep, _mix(tones.base, tones.light, 0.4), tones.deep)):
        top, swell = 64 + 34 * row + dice.throw(12), 14 + 4 * dice.throw(4)
        up = swell if dice.throw(2) else -swell
        yield _path(fill, f"M0 {top}q80 {-2 * up} 160 0t160 0V{HEIGHT}H0z")


def _circles(dice: Dice, tones: Tones) -> Iterator[str]:
    """Communication: rounds that overlap, as people who talk do."""
    for index, fill in enumerate((tones.deep, tones.light, CREAM, tones.deep, tones.light)):
        radius = (72, 64, 40, 28, 20)[index]
        x, y = 24 + 34 * dice.throw(9), 24 + 24 * dice.throw(7)
        yield _circle(fill, x, y, radius)
        if index < 3:
            yield _circle(tones.base, x, y, radius // 2)


def _triangles(dice: Dice, tones: Tones) -> Iterator[str]:
    """Image: the blades of a shutter."""
    fills = (tones.deep, tones.light, tones.light, CREAM)
    for x, y in _tiles():
        half = (
            f"M{x} {y}h{TILE}v{TILE}z",
            f"M{x} {y}h{TILE}l-{TILE} {TILE}z",
            f"M{x} {y}v{TILE}h{TILE}z",
            f"M{x + TILE} {y}v{TILE}h-{TILE}z",
        )[dice.throw(4)]
        if dice.throw(6):
            yield _path(fills[dice.throw(4)], half)


def _houses(dice: Dice, tones: Tones) -> Iterator[str]:
    """Home: a street of gables, one with the light on."""
    lit = dice.throw(5)
    for column in range(5):
        x, wall = column * TILE, 56 + 16 * dice.throw(5)
        top, roof = HEIGHT - wall, 24 + 8 * dice.throw(3)
        yield _path(
            (tones.deep, tones.light)[(column + dice.throw(2)) % 2],
            f"M{x} {HEIGHT}V{top}l32-{roof} 32 {roof}V{HEIGHT}z",
        )
        yield _path(CREAM if column == lit else tones.base, f"M{x + 22} {top + 14}h20v24h-20z")


Pattern = Callable[[Dice, Tones], Iterator[str]]
_PATTERNS: dict[str, Pattern] = {
    "office": _bars,
    "digital": _pixels,
    "languages": _arcs,
    "time": _dials,
    "health": _waves,
    "communication": _circles,
    "creative": _triangles,
    "home": _houses,
}


def _pattern_of(area: str) -> Pattern:
    return _PATTERNS.get(area) or list(_PATTERNS.values())[Dice(area).throw(len(_PATTERNS))]
