from hypothesis import given
from hypothesis import strategies as st

from libraries.colors import DARK_PAPER, LIGHT_PAPER, accent_for, contrast

colors = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")


@given(colors)
def test_no_color_can_break_the_contrast(color: str) -> None:
    shades = accent_for(color)
    assert contrast(shades.light, LIGHT_PAPER) >= 4.5
    assert contrast(shades.dark, DARK_PAPER) >= 4.5
    assert contrast(shades.ink_light, shades.light) >= 4.5
    assert contrast(shades.ink_dark, shades.dark) >= 4.5


def test_a_color_that_is_legible_stays_itself() -> None:
    assert accent_for("#a3262a").light == "#a3262a"


def test_contrast_is_the_one_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == 21
    assert round(contrast("#777777", "#ffffff"), 2) == 4.48
