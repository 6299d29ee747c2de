"""Covers as files: SVG, and PNG for sites that show no SVG where somebody shares a link (Open Graph)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from math import atan2, cos, hypot, pi, sin

from PIL import Image, ImageDraw

from catalog.covers import HEIGHT, WIDTH, cover_svg

# What Open Graph pictures are shown at; drawn twice as large, for smooth edges.
SIZE, FINER = (1200, 630), 2
_SHAPE = re.compile(
    r'<path (?:fill="(?P<early>[^"]+)" )?d="(?P<path>[^"]+)"(?: fill="(?P<late>[^"]+)")?/>'
    r'|<circle fill="(?P<round>[^"]+)" cx="(?P<x>\d+)" cy="(?P<y>\d+)" r="(?P<radius>\d+)"/>'
)
_TOKEN = re.compile(r"[A-Za-z]|-?\d+(?:\.\d+)?")
_NUMBERS = {"M": 2, "L": 2, "l": 2, "h": 1, "H": 1, "v": 1, "V": 1, "a": 7, "A": 7, "q": 4, "t": 2, "z": 0}
_PIECES = 24  # of a curve

Point = tuple[float, float]


def svg(*, code: str, area: str) -> bytes:
    drawn = cover_svg(code=code, area=area)
    alone = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
    return drawn.replace("<svg ", alone, 1).encode()


@lru_cache(maxsize=256)  # a quarter of a second of work each, some 15 kB
def png(*, code: str, area: str) -> bytes:
    """As wide as it is shown; what is too high is left out, as much above as below."""
    scale = SIZE[0] * FINER / WIDTH
    picture = Image.new("RGB", (SIZE[0] * FINER, round(HEIGHT * scale)))
    draw = ImageDraw.Draw(picture)
    for shape in _SHAPE.finditer(cover_svg(code=code, area=area)):
        if shape["path"]:
            points = [(x * scale, y * scale) for x, y in _outline(shape["path"])]
            draw.polygon(points, fill=shape["early"] or shape["late"])
        else:
            center = float(shape["x"]) * scale, float(shape["y"]) * scale
            draw.circle(center, float(shape["radius"]) * scale, fill=shape["round"])
    above = (picture.height - SIZE[1] * FINER) // 2
    shown = picture.crop((0, above, picture.width, above + SIZE[1] * FINER)).resize(SIZE, Image.Resampling.LANCZOS)
    file = BytesIO()
    shown.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def _outline(path: str) -> list[Point]:
    """The corners of one closed outline, curves in short pieces. Only the commands that covers use (SVG 2, 9.3)."""
    points: list[Point] = []
    x = y = 0.0
    bend: Point = (0, 0)
    for command, numbers in _commands(path):
        start, at = (x, y), (x, y) if command.islower() else (0.0, 0.0)
        match command.lower():
            case "h":
                x = at[0] + numbers[0]
            case "v":
                y = at[1] + numbers[0]
            case "m" | "l" | "t" | "q" | "a":
                x, y = at[0] + numbers[-2], at[1] + numbers[-1]
        if command == "q":
            bend = start[0] + numbers[0], start[1] + numbers[1]
        elif command == "t":
            bend = 2 * start[0] - bend[0], 2 * start[1] - bend[1]
        if command in "qt":
            points += _bow(start, bend, (x, y))
        elif command in "aA":
            points += _arc(start, (x, y), numbers[0], is_clockwise=bool(numbers[4]))
        elif command != "z":
            points.append((x, y))
    return points


def _commands(path: str) -> Iterator[tuple[str, list[float]]]:
    tokens = _TOKEN.findall(path)
    command = ""
    while tokens:
        command = tokens.pop(0) if tokens[0].isalpha() else command  # a command that is repeated is not named again
        count = _NUMBERS[command]
        yield command, [float(token) for token in tokens[:count]]
        del tokens[:count]


def _bow(start: Point, bend: Point, end: Point) -> Iterator[Point]:
    for piece in range(1, _PIECES + 1):
        t = piece / _PIECES
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        yield a * start[0] + b * bend[0] + c * end[0], a * start[1] + b * bend[1] + c * end[1]


def _arc(start: Point, end: Point, radius: float, *, is_clockwise: bool) -> Iterator[Point]:
    """The smaller of both ways round."""
    half = hypot(end[0] - start[0], end[1] - start[1]) / 2
    away = max(radius**2 - half**2, 0) ** 0.5 / (2 * half) * (1 if is_clockwise else -1)
    middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    center = middle[0] - (end[1] - start[1]) * away, middle[1] + (end[0] - start[0]) * away
    first = atan2(start[1] - center[1], start[0] - center[0])
    turn = (atan2(end[1] - center[1], end[0] - center[0]) - first + pi) % (2 * pi) - pi
    for piece in range(1, _PIECES + 1):
        angle = first + turn * piece / _PIECES
        yield center[0] + radius * cos(angle), center[1] + radius * sin(angle)
