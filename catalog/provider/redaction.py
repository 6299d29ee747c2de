"""What a provider said, for the eyes of an operator: without secrets, and without personal data as far as can be told.

Hidden are the values that the caller knows (of the person, and the token) in the ways they may be written, and what
looks like an address, a number of a card or a telephone, an id or a token. Of JSON only the members of error documents
are shown, of HTML its text. The name of somebody whom the caller did not ask about cannot be told from other words.
"""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, urlsplit

HIDDEN = "…"
LONGEST, LONGEST_VALUE = 1000, 300
_LARGEST_READ = 20_000
_MOST_ITEMS, _DEEPEST = 5, 3
HEADERS = ("Content-Type", "Retry-After", "Location")
# RFC 7644 §3.12, and the lists that were not understood (§3.4.2); Moodle's exceptions and warnings.
SHOWN = frozenset(
    {"status", "scimType", "detail", "totalResults", "itemsPerPage", "startIndex"}
    | {"exception", "errorcode", "message", "error", "debuginfo", "warnings", "warningcode", "item"}
)
_SCHEME = re.compile(r"(?i)\b(?:bearer|basic)\s+\S+")
_NUMBER = re.compile(r"\+?\d(?:[\s./()-]{0,2}\d){4,}")
# Each once, however long: what is matched to it must not start again at each of its letters.
_WORD = re.compile(r"""[^\s<>"'`(){}\[\]|,;:=&?/\\]+""")
_TOKEN = re.compile(r"eyJ[\w.-]*|(?=[a-f]*\d)[0-9a-f]{12,}|(?=[^\d]*\d)[\w.+~-]{16,}|[\w.+~-]{40,}", re.IGNORECASE)


def told(
    asked: str, status: int, headers: Mapping[str, str], content: bytes, *, secret: str = "", about: Iterable[str] = ()
) -> str:
    """`asked` must hold no ids of people; `about` are the values of the person whom it is about."""
    known = _patterns_of(secret, about)
    lines = [f"{asked} → {status}"]
    lines += [f"{name}: {_header(name, headers[name], known)}" for name in HEADERS if name in headers]
    lines.append(_body(content[:_LARGEST_READ], headers.get("Content-Type", ""), known))
    return _cut("\n".join(line for line in lines if line), LONGEST)


def _header(name: str, value: str, known: list[re.Pattern[str]]) -> str:
    if name == "Location":  # where to, but not to whom
        parts = urlsplit(value)
        value = f"{parts.scheme}://{parts.hostname}"
    return _cut(_scrubbed(value, known), 100)


def _body(content: bytes, content_type: str, known: list[re.Pattern[str]]) -> str:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        text = content[:_LARGEST_READ].decode("utf-8", errors="replace").lstrip("\ufeff")
        is_marked_up = "html" in content_type or "xml" in content_type or text.lstrip().startswith("<")
        return _plain(_words(text) if is_marked_up else text, known)
    return json.dumps(_shown(document, known), ensure_ascii=False)


def _plain(text: str, known: list[re.Pattern[str]]) -> str:
    """Of a document that is broken, or stands behind something else, nobody knows which members may be shown."""
    words, *data = re.split(r"[\[{]\s*[\"{\[]", text, maxsplit=1)
    return _scrubbed(words, known) + (f" {HIDDEN}" if data else "")


def _shown(value: object, known: list[re.Pattern[str]], depth: int = 0) -> object:
    if isinstance(value, bool | None) or (isinstance(value, int) and abs(value) < 100_000):
        return value
    if isinstance(value, str):
        return _cut(_plain(value, known), LONGEST_VALUE)
    if isinstance(value, list) and depth < _DEEPEST:
        shown = [_shown(item, known, depth + 1) for item in value[:_MOST_ITEMS]]
        return [*shown, HIDDEN] if len(value) > _MOST_ITEMS else shown
    if isinstance(value, dict) and depth < _DEEPEST:
        members = {name: _shown(item, known, depth + 1) for name, item in value.items() if name in SHOWN}
        return members if len(members) == len(value) else {**members, HIDDEN: HIDDEN}
    return HIDDEN


def _scrubbed(text: str, known: list[re.Pattern[str]]) -> str:
    text = unicodedata.normalize("NFKC", text)
    for pattern in (*known, _SCHEME):
        text = pattern.sub(HIDDEN, text)
    text = _NUMBER.sub(HIDDEN, _WORD.sub(_unless_secret, text))
    text = "".join(character if character.isprintable() else " " for character in text)
    return re.sub(rf"(?:{HIDDEN}\s*){{2,}}", f"{HIDDEN} ", " ".join(text.split())).strip()


def _unless_secret(word: re.Match[str]) -> str:
    said = word[0]
    return HIDDEN if "@" in said or "%40" in said or _TOKEN.fullmatch(said) else said


def _patterns_of(secret: str, about: Iterable[str]) -> list[re.Pattern[str]]:
    """The longest first, so that no part of one is left over; short ones as words of their own."""
    values = [secret, *(part for value in about for part in _parts(value))]
    written = {way for value in values for way in _ways(value)}
    return [
        re.compile(re.escape(way) if len(way) > 3 else rf"(?<!\w){re.escape(way)}(?!\w)", re.IGNORECASE)
        for way in sorted(written, key=len, reverse=True)
    ]


def _parts(value: str) -> Iterator[str]:
    """Also each part of a name, and of an address before its @: a message may say just one."""
    yield value
    yield from (part for part in re.split(r"[\s'’._+-]+", value.partition("@")[0]) if len(part) > 1)


def _ways(value: str) -> Iterator[str]:
    if not (value := unicodedata.normalize("NFKC", value).strip()):
        return
    plain = "".join(c for c in unicodedata.normalize("NFKD", value) if not unicodedata.combining(c))
    yield from (value, plain, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1])
    if len(value) > 3:
        yield base64.b64encode(value.encode()).decode().rstrip("=")


def _words(markup: str) -> str:
    """In one pass, whatever is broken in it."""
    before, *pieces = markup.split("<")
    words, unread = [before], ""
    for piece in pieces:
        tag, _, text = piece.partition(">")
        name = re.split(r"[\s/]", tag.lower(), maxsplit=1)[0] or tag.lower()
        if unread:
            unread = "" if tag.lower().startswith(f"/{unread}") else unread
        elif name in ("script", "style"):
            unread = name
        words.append("" if unread else text)
    return html.unescape(" ".join(words))


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + HIDDEN
