from __future__ import annotations

import pytest

from enrollment.drafting import one_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\nBcc: b", "a Bcc: b"),
        (" a\u2028b\x85c\x1cd\t e\v", "a b c d e"),
        ("«\u00a0Beter slapen\u00a0»\u202f?", "«\u00a0Beter slapen\u00a0»\u202f?"),
        (" \n", ""),
    ],
)
def test_one_line_keeps_only_spaces_that_do_not_break(text: str, line: str) -> None:
    assert one_line(text) == line
