"""What a letter says, before it is put into words and a layout."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

_BREAKS = re.compile(r"[^\S\u00a0\u202f]+")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a letter says now; its words are in templates/emails/<kind>.txt, for both its parts."""

    subject: str
    leads_to: str = "my_place"
    arguments: tuple[Any, ...] = ()
    query: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def one_line(text: str) -> str:
    """Spaces that do not break stay: French puts them inside its quotation marks."""
    return _BREAKS.sub(" ", text).strip()
