from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from benchmarks import roster as benchmark
from enrollment.models import Event
from libraries.models import Institution, Roster, RosterEntry

GOOD = "nummer;geboortedatum\n21000001;1993-05-18\n21000002;\n"
MIXED = GOOD + "93.05.18-223.61;\n21000001;\n"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def institution() -> Institution:
    return Institution.objects.create(
        slug="antwerpen", name="Antwerpen", postal_code="2000", city="Antwerpen", card_check="roster"
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "cards of today.csv"
    path.write_text(MIXED, encoding="utf-8")
    return path


def run(*arguments: object) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    call_command("import_roster", *map(str, arguments), stdout=out, stderr=err, no_color=True)
    return out.getvalue(), err.getvalue()


def test_command_imports_and_reports_every_rejected_line(path: Path) -> None:
    out, err = run("antwerpen", path)
    assert out.splitlines() == [
        "line 4: national_number: This is a national register number. It may not be kept here.",
        "line 5: duplicate: The card number was on an earlier line.",
        "Note: The file has no column with end dates. No card will ever be seen as expired.",
        "Imported: 4 lines, 2 accepted, 2 rejected; 2 added, 0 changed, 0 removed.",
    ]
    assert err == "4 lines read\n"
    assert RosterEntry.objects.count() == 2
    event = Event.objects.get()
    assert (event.kind, event.actor_id, event.new_value) == ("roster_imported", None, 2)


def test_command_writes_the_report_to_a_file(path: Path, tmp_path: Path) -> None:
    out, _ = run("antwerpen", path, "--report", tmp_path / "report.csv")
    assert out.splitlines()[-1].startswith("Imported: 4 lines")
    assert (tmp_path / "report.csv").read_text(encoding="utf-8").splitlines() == [
        "line,code,reason",
        "4,national_number,This is a national register number. It may not be kept here.",
        "5,duplicate,The card number was on an earlier line.",
    ]


def test_dry_run_changes_nothing(path: Path) -> None:
    out, _ = run("antwerpen", path, "--dry-run")
    assert out.splitlines()[-1] == (
        "Dry run, nothing was changed: 4 lines, 2 accepted, 2 rejected; 2 added, 0 changed, 0 removed."
    )
    assert (RosterEntry.objects.count(), Roster.objects.count()) == (0, 0)


def test_command_says_what_is_wrong_with_a_file_and_which_lines(path: Path, tmp_path: Path) -> None:
    path.write_text("nummer;geboortedatum\n;\n21000001;x\n", encoding="utf-8")
    report = tmp_path / "report.csv"
    with pytest.raises(CommandError, match=r"^Nothing was changed\. None of the lines could be used\."):
        run("antwerpen", path, "--report", report)
    assert [line.split(",")[1] for line in report.read_text(encoding="utf-8").splitlines()] == [
        "code",
        "empty",
        "bad_date",
    ]
    assert Roster.objects.count() == 0


def test_unknown_institution_is_named_with_those_that_are_known(path: Path) -> None:
    with pytest.raises(CommandError, match=r"^No institution is called gent\. Known: antwerpen\.$"):
        run("gent", path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"absent\.csv: No such file or directory$"):
        run("antwerpen", tmp_path / "absent.csv")
    with pytest.raises(CommandError, match=r": Is a directory$"):
        run("antwerpen", tmp_path)


def test_report_that_cannot_be_written_stops_the_import_before_it_begins(path: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"report\.csv: No such file or directory$"):
        run("antwerpen", path, "--report", tmp_path / "absent" / "report.csv")
    assert Roster.objects.count() == 0


def test_report_never_overwrites_the_list(path: Path) -> None:
    with pytest.raises(CommandError, match=r"the report would overwrite the list itself$"):
        run("antwerpen", path, "--report", path)
    assert path.read_text(encoding="utf-8") == MIXED


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_large_list_takes_few_megabytes_more_than_a_short_one(tmp_path: Path) -> None:
    Institution.objects.create(slug=benchmark.SLUG, name="Limburg", postal_code="3500", city="Hasselt")
    benchmark.write_list(tmp_path / "few.csv", 10)
    benchmark.write_list(tmp_path / "cards.csv", benchmark.LINES)
    whole = benchmark.peak_memory(tmp_path / "few.csv")
    assert benchmark.peak_memory(tmp_path / "cards.csv") < whole + 20
    assert RosterEntry.objects.count() == 165_000
