"""The catalogs are complete and compiled; and the check that says so is able to say otherwise."""

import gettext
import io
import re
from pathlib import Path

import allauth
import django.contrib.admin
import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import write_po
from django.core.management import call_command
from django.core.management.base import CommandError

from portal import translations

ROOT = Path(__file__).parent.parent
CODE = """
from django.utils.translation import gettext_lazy as _, ngettext, pgettext
greeting = _("Hello %(name)s,") % {"name": name}
count = ngettext("%(n)s book", "%(n)s books", n) % {"n": n}
verb = pgettext("verb", "Place")
_, rest = ("not a text", 2)
"""
PAGE = """
{% load i18n %}
<h1>
  {% translate "Welcome" %}</h1>
    {# not a text: _("no") #}
{% blocktranslate trimmed with day=until|date %}
  Open until
  {{ day }}, 100% free
{% endblocktranslate %}
{% if title == _("A title") %}(unbalanced "quotes{% endif %}
"""
DUTCH: dict[str, str | tuple[str, str]] = {
    "Hello %(name)s,": "Dag %(name)s,",
    "%(n)s book": ("%(n)s boek", "%(n)s boeken"),
    "Place": "Plaats",
    "Welcome": "Welkom",
    "Open until %(day)s, 100%% free": "Open tot %(day)s, 100%% gratis",
    "A title": "Een titel",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "portal/migrations").mkdir(parents=True)
    (tmp_path / "templates").mkdir()
    (tmp_path / "portal/greetings.py").write_text(CODE)
    (tmp_path / "portal/migrations/0001.py").write_text('_("not a text either")')
    (tmp_path / "templates/page.html").write_text(PAGE)
    return tmp_path


def update(project: Path) -> None:
    translations.update(project, "nl", translations.extracted(project))


def problems(project: Path) -> list[str]:
    return translations.problems(project, "nl", translations.extracted(project))


def translate(project: Path, texts: dict[str, str | tuple[str, str]], flags: tuple[str, ...] = ()) -> None:
    file = translations.po_file(project, "nl")
    catalog = translations.read(file, "nl")
    for message in catalog:
        singular = message.id if isinstance(message.id, str) else message.id[0]
        if singular in texts:
            message.string = texts[singular]
            message.flags |= set(flags)
    with file.open("wb") as content:
        write_po(content, catalog)
    file.with_suffix(".mo").write_bytes(translations.compiled(translations.read(file, "nl"), "nl"))


# --- Ours ---


no_catalogs = pytest.mark.skipif(not translations.po_file(ROOT, "nl").exists(), reason="there are no catalogs yet")


@no_catalogs
def test_french_marks_do_not_begin_a_line() -> None:
    """A space that does not break stands before : ; ? ! and within « »."""
    breaks = re.compile(r"(?<=\S) (?=[:;?!»](?:\s|$))|« ")
    catalog = translations.read(translations.po_file(ROOT, "fr"), "fr")
    texts = [form for message in catalog if message.id for form in _forms(message)]
    assert [text for text in texts if breaks.search(text)] == []


def _forms(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string or ())


@no_catalogs
def test_every_text_is_translated() -> None:
    try:
        call_command("translations", "--check")
    except CommandError as error:
        pytest.fail(str(error))


@no_catalogs
@pytest.mark.parametrize("language", ["nl", "fr"])
def test_texts_of_overridden_pages_are_in_our_words(language: str) -> None:
    """Django and allauth translate texts of these pages too, and would fill what is missing, in other words."""
    theirs = [Path(package.__path__[0]) for package in (allauth, django.contrib.admin)]
    catalog = translations.read(translations.po_file(ROOT, language), language)
    ours = {message.id if isinstance(message.id, str) else message.id[0] for message in catalog}
    overridden = [
        path
        for path in translations.sources(ROOT)
        if path.suffix != ".py" and any((each / path.relative_to(ROOT)).exists() for each in theirs)
    ]
    texts = [message for path in overridden for message, _context in translations.messages_in(path)]

    assert [text for text in texts if (text if isinstance(text, str) else text[0]) not in ours] == []


# --- The tool ---


def test_texts_are_found_in_code_and_in_templates(project: Path) -> None:
    found = translations.extracted(project)

    assert {key: entry.files for key, entry in found.items()} == {
        ("Hello %(name)s,", None): {"portal/greetings.py"},
        ("%(n)s book", None): {"portal/greetings.py"},
        ("Place", "verb"): {"portal/greetings.py"},
        ("Welcome", None): {"templates/page.html"},
        ("Open until %(day)s, 100%% free", None): {"templates/page.html"},
        ("A title", None): {"templates/page.html"},
    }
    assert found["%(n)s book", None].id == ("%(n)s book", "%(n)s books")


def test_catalog_that_is_not_there_misses_everything(project: Path) -> None:
    assert len(problems(project)) == len(DUTCH) + 1
    assert problems(project)[-1] == "nl: django.mo is not what django.po says"


def test_update_adds_texts_untranslated(project: Path) -> None:
    update(project)

    assert sorted(problems(project)) == sorted(f"nl: untranslated: {text!r}" for text in DUTCH)


def test_complete_catalog_has_no_problems_and_speaks(project: Path) -> None:
    update(project)
    translate(project, DUTCH)

    assert problems(project) == []
    spoken = gettext.GNUTranslations(io.BytesIO(translations.po_file(project, "nl").with_suffix(".mo").read_bytes()))
    assert spoken.gettext("Welcome") == "Welkom"
    assert spoken.pgettext("verb", "Place") == "Plaats"
    assert [spoken.ngettext("%(n)s book", "%(n)s books", n) for n in (1, 2)] == ["%(n)s boek", "%(n)s boeken"]


def test_update_keeps_translations_and_drops_what_is_gone(project: Path) -> None:
    update(project)
    translate(project, DUTCH)
    (project / "templates/page.html").write_text('{% load i18n %}{% translate "Welcome" %}{% translate "New" %}')
    gone = ("Open until %(day)s, 100%% free", "A title")

    before = problems(project)
    update(project)

    assert before == [
        "nl: missing: 'New' (templates/page.html)",
        *(f"nl: obsolete: {text!r}" for text in reversed(gone)),
    ]
    assert problems(project) == ["nl: untranslated: 'New'"]


def test_update_twice_changes_nothing(project: Path) -> None:
    update(project)
    translate(project, DUTCH)
    update(project)
    files = [translations.po_file(project, "nl").with_suffix(suffix) for suffix in (".po", ".mo")]
    before = [file.read_bytes() for file in files]

    (project / "portal/greetings.py").write_text("# another line\n" + CODE)
    update(project)

    assert [file.read_bytes() for file in files] == before
    assert b"Date" not in b"".join(before)


@pytest.mark.parametrize(
    ("source", "translation", "problem"),
    [
        ("Hello %(name)s,", "Dag %(naam)s,", "differs in %(naam)s, %(name)s"),
        ("Hello %(name)s,", "Dag,", "differs in %(name)s"),
        ("%(n)s book", ("Eén boek", "%(n)s boeken"), "differs in %(n)s"),
        ("Open until %(day)s, 100%% free", "Open tot %(day)s, 100% vrij", "holds a % that has to be %%"),
        ("Welcome", "<b>Welkom</b>", "differs in </b, <b"),
        ("Welcome", "", "untranslated"),
        ("%(n)s book", ("%(n)s boek", ""), "untranslated"),
    ],
)
def test_translation_that_is_wrong_is_named(
    source: str, translation: str | tuple[str, str], problem: str, project: Path
) -> None:
    update(project)
    translate(project, DUTCH | {source: translation})

    assert problems(project) == [f"nl: {problem}: {source!r}"]


def test_fuzzy_translation_is_named(project: Path) -> None:
    update(project)
    translate(project, DUTCH)
    translate(project, {"Welcome": "Dag"}, flags=("fuzzy",))

    assert problems(project) == ["nl: fuzzy: 'Welcome'"]


def test_text_that_became_a_plural_is_named(project: Path) -> None:
    update(project)
    translate(project, DUTCH)
    (project / "portal/more.py").write_text('ngettext("Welcome", "Welcome all", n)')

    assert problems(project) == ["nl: other plural forms: 'Welcome'"]
    update(project)
    assert problems(project) == ["nl: untranslated: 'Welcome'"]


def test_compiled_catalog_that_is_behind_is_named(project: Path) -> None:
    update(project)
    translate(project, DUTCH)
    mo = translations.po_file(project, "nl").with_suffix(".mo")
    mo.write_bytes(mo.read_bytes().replace(b"Welkom", b"Wolkom"))

    assert problems(project) == ["nl: django.mo is not what django.po says"]
