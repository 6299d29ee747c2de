"""The steps of a test of another system, as staff read them: what failed, and who can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise

Text = str | Promise


@dataclass(frozen=True)
class Line:
    """`what` and `mender` are empty for a step that works."""

    name: Text
    what: Text = ""
    mender: Text = ""
    says: Sequence[str] = ()
    lacks: Sequence[str] = ()
    answer: str = ""

    @property
    def is_good(self) -> bool:
        return not self.what


def told(lines: Iterable[Line]) -> dict[str, object]:
    """For a page."""
    lines = list(lines)
    return {"lines": lines, "all_good": all(line.is_good for line in lines)}
