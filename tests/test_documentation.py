"""What the documentation says exists, and what exists is documented."""

import ast
import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from portal.sandbox.accounts import DEMO_ACCOUNTS, DEMO_CARDS

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("catalog", "enrollment", "libraries", "portal")
TEXTS = (".py", ".md", ".txt", ".toml", ".yml", ".html", ".css", ".js", ".sh", "")
READERS = re.compile(r"(^|\.)(optional|required|flag|positive|environ\.get|environ\.setdefault|getenv)$")
# The first is read by gunicorn itself, the second is set by our own programs.
READ_BY_OTHERS, NOT_FOR_PEOPLE = {"WEB_CONCURRENCY"}, {"DJANGO_SETTINGS_MODULE"}
README = (ROOT / "README.md").read_text()


def documented_variables() -> set[str]:
    table = README.split("\n| variable |")[1].split("\n\n")[0]
    return set(re.findall(r"^\| \*{0,2}`([A-Z_]+)`", table, re.M))


def read_variables() -> set[str]:
    names = set(READ_BY_OTHERS)
    for path in (ROOT / "manage.py", *(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and READERS.search(ast.unparse(node.func)) and node.args:
                names |= constants(node.args[0])
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
                names |= constants(node.slice)
    compose = (ROOT / "docker-compose.yml").read_text()
    return names | set(re.findall(r"\$\{([A-Z_]+)", compose))


def constants(node: ast.expr) -> set[str]:
    is_name = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return {ast.literal_eval(node)} if is_name else set()


def test_every_variable_that_is_read_is_documented_and_the_other_way_round() -> None:
    assert documented_variables() == read_variables() - NOT_FOR_PEOPLE


def test_required_variables_are_in_bold() -> None:
    source = (ROOT / "portal/environment.py").read_text()

    assert set(re.findall(r"\*\*`([A-Z_]+)`\*\*", README)) == set(re.findall(r'required\("([A-Z_]+)"\)', source))


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.M))
    named = {name for file in DOCUMENTS for name in re.findall(r"(?:`|\n)make ([a-z][\w-]*)", file.read_text())}

    assert named - targets == set()
    assert {"demo", "test"} <= named


def test_every_command_that_is_named_exists() -> None:
    named = {name for file in DOCUMENTS for name in re.findall(r"manage\.py ([a-z_]+)", file.read_text())}

    assert named - set(get_commands()) == set()


def test_accounts_of_the_demo_are_those_that_are_told() -> None:
    told = set(re.findall(r"^\| `(\S+@\S+)` \|", README, re.M))

    assert told == {account.email for account in DEMO_ACCOUNTS}
    assert all(f"`{account.password}`" in README for account in DEMO_ACCOUNTS)
    assert f"card `{DEMO_CARDS[0].number}` with birth date 2 March 1948" in README
    assert DEMO_CARDS[0].born == "1948-03-02"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", document.read_text(), flags=re.S))
    broken = [link for link in links if not link.startswith("https://") and not leads_somewhere(document, link)]

    assert broken == []


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(document: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_file_that_is_named_exists() -> None:
    named = re.compile(r"`((?:portal|enrollment|catalog|libraries|tests|docs|requirements)/[\w./-]+\w)`")
    missing = [
        f"{document.name}: {path}"
        for document in DOCUMENTS
        for path in named.findall(document.read_text())
        if not (ROOT / path).exists()
    ]

    assert missing == []


def test_every_test_that_is_named_exists() -> None:
    tests = [path.read_text() for path in (ROOT / "tests").rglob("test_*.py")]
    there = {name for text in tests for name in re.findall(r"^def (test_\w+)", text, re.M)}
    named = {name for document in DOCUMENTS for name in re.findall(r"`(test_\w+)`", document.read_text())}

    assert named - there == set()
    assert "test_start_is_answered_once" in named


def test_every_decision_is_numbered_once_and_has_its_parts() -> None:
    decisions = sorted((ROOT / "docs/adr").glob("*.md"))

    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text()
        assert text.startswith(f"# {path.name[:4]}: ")
        assert [
            part for part in ("**Context.**", "**Decision.**", "**Why.**", "**Consequences.**") if part not in text
        ] == []
        assert text.count("\n") <= 40


def test_changelog_has_this_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)

    assert version is not None
    assert re.search(
        rf"^## \[{re.escape(version[1])}\] - \d{{4}}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M
    )


def test_no_text_names_a_machine_or_a_registry() -> None:
    """Where somebody's clone or package index is, is nobody else's business."""
    machine = re.compile(r"(?<![\w.])/(?:work|root|home|Users)/[\w.]|" + "|".join(registries()))
    texts = [path for path in project_files() if path.suffix in TEXTS and path != Path(__file__)]

    assert [f"{path.relative_to(ROOT)}: {found[0]}" for path in texts if (found := machine.search(read(path)))] == []


def registries() -> list[str]:
    hosts = ("pypi.org", "files.pythonhosted.org", "registry.npmjs.org", "deb.debian.org", "docker.io")
    return [re.escape(host) for host in hosts]


def project_files() -> list[Path]:
    folders = (*FOLDERS, "tests", "benchmarks", "docs", "templates", "static", "requirements", ".ci")
    inside = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path for path in inside if "__pycache__" not in path.parts] + [
        path for path in ROOT.iterdir() if path.is_file() and path.name not in (".venv.log", ".git")
    ]


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
