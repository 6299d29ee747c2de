"""What a letter says, before it is put into words and a layout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a letter says now; its words are in templates/emails/<kind>.txt, for both its parts."""

    subject: str
    leads_to: str = "my_place"
    arguments: tuple[Any, ...] = ()
    query: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def one_line(text: str) -> str:
    return " ".join(text.split())
