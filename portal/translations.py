"""Translations without gettext's programs: extract, check, bring up to date, compile. Needs Babel (a dev dependency).

English is the language of the source; each other language has a django.po with its django.mo beside it in git.
Nothing in these files depends on the clock, the machine or line numbers, so that a difference is a real one.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

APPS = ("catalog", "enrollment", "libraries", "portal")
_SUFFIXES = (".html", ".txt", ".css", ".svg", ".xml")
_CONTEXT_FIRST = ((1, "c"), 2)
_KEYWORDS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop")),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), _CONTEXT_FIRST),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), (*_CONTEXT_FIRST, 3)),
}
# What a translation has to keep: what is filled in, and the tags around words.
_KEPT = re.compile(r"%\(\w+\)[sdf]|%[sdf]|</?[a-z]\w*")
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[sdf]")

Key = tuple[str, str | None]  # the message (its singular), and its context


@dataclass
class Found:
    """A message as the source has it."""

    id: str | tuple[str, str]
    context: str | None
    files: set[str] = field(default_factory=set)


class StableCatalog(Catalog):
    def __iter__(self) -> Iterator[Message]:
        """Babel's own header holds times and versions."""
        headers = (
            f"Language: {self.locale}",
            "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: 8bit",
            f"Plural-Forms: {self.plural_forms}",
        )
        yield Message("", "".join(f"{header}\n" for header in headers))
        yield from (message for message in super().__iter__() if message.id)


# --- Extracting ---


def extracted(root: Path) -> dict[Key, Found]:
    """Every message in the Python files of our apps and in the templates, also those that Django's own catalog has."""
    found: dict[Key, Found] = {}
    for path in sources(root):
        for message_id, context in messages_in(path):
            key = (_singular(message_id), context)
            entry = found.setdefault(key, Found(message_id, context))
            if isinstance(message_id, tuple):
                entry.id = message_id
            entry.files.add(path.relative_to(root).as_posix())
    return found


def sources(root: Path) -> Iterator[Path]:
    for app in APPS:
        code = sorted((root / app).rglob("*.py"))
        yield from (path for path in code if "migrations" not in path.parts)
    for templates in (root / "templates", *(root / app / "templates" for app in APPS)):
        yield from (path for path in sorted(templates.rglob("*")) if path.suffix in _SUFFIXES)


def messages_in(path: Path) -> Iterator[tuple[str | tuple[str, str], str | None]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        # Of the pseudo-Python that Django makes of a template, indentation has to go: Python would refuse it.
        text = "\n".join(line.strip() for line in templatize(text, origin=str(path)).splitlines())
    for _line, message, _comments, context in extract("python", io.BytesIO(text.encode()), keywords=_KEYWORDS):
        yield (message if isinstance(message, str) else (message[0], message[1])), context


def _singular(message_id: str | Sequence[str]) -> str:
    return message_id if isinstance(message_id, str) else message_id[0]


# --- Files ---


def po_file(root: Path, language: str) -> Path:
    return root / "portal" / "locale" / language / "LC_MESSAGES" / "django.po"


def read(file: Path, language: str) -> Catalog:
    if not file.exists():
        return Catalog(locale=language)
    with file.open("rb") as content:
        return read_po(content, locale=language, abort_invalid=True)


def compiled(catalog: Catalog, language: str) -> bytes:
    stable = StableCatalog(locale=language)
    for message in catalog:
        if message.id:
            stable[message.id] = message
    buffer = io.BytesIO()
    write_mo(buffer, stable)
    return buffer.getvalue()


def update(root: Path, language: str, found: dict[Key, Found]) -> None:
    """Add what is missing (untranslated), drop what is gone, keep every translation; compile the result."""
    file = po_file(root, language)
    old, new = read(file, language), StableCatalog(locale=language, header_comment=f"# Leerkaart: {language}")
    for entry in sorted(found.values(), key=lambda entry: (min(entry.files), _singular(entry.id), entry.context or "")):
        known = old.get(entry.id, context=entry.context)
        kept = known if known and known.pluralizable == isinstance(entry.id, tuple) else None
        new.add(
            entry.id,
            kept.string if kept else "",
            locations=[(name, 0) for name in sorted(entry.files)],
            flags=kept.flags if kept else (),
            user_comments=kept.user_comments if kept else (),
            context=entry.context,
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as content:
        write_po(content, new, width=110, include_lineno=False)
    file.with_suffix(".mo").write_bytes(compiled(read(file, language), language))


# --- Checking ---


def problems(root: Path, language: str, found: dict[Key, Found]) -> list[str]:
    """What keeps this language from being complete, each in a line that names the message."""
    file = po_file(root, language)
    catalog = read(file, language)
    present = {(_singular(message.id), message.context): message for message in catalog if message.id}
    lines = [f"missing: {key[0]!r} ({min(found[key].files)})" for key in sorted(found.keys() - present, key=str)]
    lines += [f"obsolete: {key[0]!r}" for key in sorted(present.keys() - found, key=str)]
    lines += [f"obsolete: {_singular(message.id)!r}" for message in catalog.obsolete.values()]
    for key in sorted(present.keys() & found, key=str):
        lines += [f"{problem}: {key[0]!r}" for problem in faults(present[key], catalog.num_plurals, found[key])]
    mo = file.with_suffix(".mo")
    if not mo.exists() or mo.read_bytes() != compiled(catalog, language):
        lines.append("django.mo is not what django.po says")
    return [f"{language}: {line}" for line in lines]


def faults(message: Message, plurals: int, found: Found) -> Iterator[str]:
    forms = [message.string] if isinstance(message.string, str) else list(message.string or ())
    if message.fuzzy:
        yield "fuzzy"
    if message.pluralizable != isinstance(found.id, tuple) or len(forms) != (plurals if message.pluralizable else 1):
        yield "other plural forms"
    elif not all(forms):
        yield "untranslated"
    else:
        yield from _differences(message.id, forms)


def _differences(message_id: str | Sequence[str], forms: Sequence[str]) -> Iterator[str]:
    """A form of a plural may leave out what one of the source's forms leaves out."""
    ids = [message_id] if isinstance(message_id, str) else list(message_id)
    kept = [set(_KEPT.findall(text)) for text in ids]
    may, must = set.union(*kept), set.intersection(*kept)
    for form in forms:
        different = sorted((set(_KEPT.findall(form)) - may) | (must - set(_KEPT.findall(form))))
        if different:
            yield f"differs in {', '.join(different)}"
        elif any(_PLACEHOLDER.search(text) or "%%" in text for text in ids) and not _can_be_filled_in(form):
            yield "holds a % that has to be %%"


def _can_be_filled_in(form: str) -> bool:
    names = _PLACEHOLDER.findall(form)
    values: object = dict.fromkeys(filter(None, names), 1) if any(names) else (1,) * len(names)
    try:
        return bool(form % values)
    except (ValueError, TypeError, KeyError):
        return False
