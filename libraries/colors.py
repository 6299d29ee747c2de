"""The shades of an institution's own color that keep 4.5:1 on light and on dark paper, whatever it chose."""

import colorsys
from dataclasses import dataclass

# The papers of static/css/site.css: text has to hold on the darker of the light ones, and the other way round.
LIGHT_PAPER, DARK_PAPER = "#f6f0e4", "#2b251e"
WHITE, BLACK = "#ffffff", "#16110c"
ENOUGH = 4.5

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Shades:
    """`light` and `dark`: the color on light and on dark paper; `ink_light` and `ink_dark`: text on top of it."""

    light: str
    dark: str
    ink_light: str
    ink_dark: str


def accent_for(color: str) -> Shades:
    light = _shade_towards(color, paper=LIGHT_PAPER, step=-0.01)
    dark = _shade_towards(color, paper=DARK_PAPER, step=0.01)
    return Shades(light=light, dark=dark, ink_light=_ink_on(light), ink_dark=_ink_on(dark))


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _shade_towards(color: str, *, paper: str, step: float) -> str:
    """The nearest shade, darker or lighter, that can be read on this paper."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(color))
    shade = color.lower()
    while contrast(shade, paper) < ENOUGH:
        lightness = min(1.0, max(0.0, lightness + step))
        shade = _hex(colorsys.hls_to_rgb(hue, lightness, saturation))
    return shade


def _ink_on(color: str) -> str:
    return max((WHITE, BLACK), key=lambda ink: contrast(ink, color))


def _luminance(color: str) -> float:
    red, green, blue = (_linear(channel) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _channels(color: str) -> Channels:
    red, green, blue = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue


def _hex(channels: Channels) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in channels)
