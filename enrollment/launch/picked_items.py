"""What a tool says was picked there (LTI Deep Linking 2.0, 3 and 4.5): read, bounded, and nothing believed of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypedDict

from enrollment import tool_checks

RESOURCE_LINK = "ltiResourceLink"
MOST_ITEMS, MOST_PARAMETERS = 150, 50
LONGEST_NAME, LONGEST_VALUE, LONGEST_TEXT = 100, 1000, 2000
LONGEST_TITLE, LONGEST_CODE = 200, 50  # as of a course
# Where tools write what they call a course.
_OF_LINE_ITEM, _OF_CUSTOM = ("resourceId", "tag"), ("code", "course_code", "course_id", "id")


class Item(TypedDict):
    title: str
    text: str
    url: str
    code: str
    custom: dict[str, str]


def read(content_items: object) -> tuple[list[Item], int]:
    """Those that are courses, and how many are not, or cannot be read. Raises ValueError where it is no list."""
    if not isinstance(content_items, list):
        raise ValueError
    items = [item for each in content_items[:MOST_ITEMS] if (item := _item(each))]
    return items, len(content_items) - len(items)


def _item(told: object) -> Item | None:
    if not isinstance(told, dict) or told.get("type") != RESOURCE_LINK:
        return None
    url, custom = told.get("url") or "", _custom(told.get("custom") or {})
    if not isinstance(url, str) or custom is None or (url and tool_checks.flaw_of_address(url)):
        return None
    line_item = told.get("lineItem")
    return Item(
        title=_line(told.get("title"))[:LONGEST_TITLE],
        text=_line(told.get("text"))[:LONGEST_TEXT],
        url=url,
        code=_code(line_item if isinstance(line_item, dict) else {}, custom),
        custom=custom,
    )


def _custom(told: object) -> dict[str, str] | None:
    """They come back to the tool at each start, all or nothing."""
    if not isinstance(told, dict) or len(told) > MOST_PARAMETERS:
        return None
    custom = {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}
    fit = all(
        0 < len(name) <= LONGEST_NAME and len(value) <= LONGEST_VALUE and _is_storable(name + value)
        for name, value in custom.items()
    )
    return custom if fit else None


def _code(line_item: Mapping[str, Any], custom: Mapping[str, str]) -> str:
    named = [*(line_item.get(name) for name in _OF_LINE_ITEM), *(custom.get(name) for name in _OF_CUSTOM)]
    fitting = (code for each in named if (code := _line(each)) and len(code) <= LONGEST_CODE)
    return next(fitting, "")


def _line(told: object) -> str:
    """On one line, of what can be seen."""
    if not isinstance(told, str):
        return ""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in told).split())


def _is_storable(text: str) -> bool:
    return "\x00" not in text and all(not 0xD800 <= ord(sign) <= 0xDFFF for sign in text)
