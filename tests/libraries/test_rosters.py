from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, transaction

from libraries import membership, roster_files, rosters
from libraries.cards.checks import Outcome, Question
from libraries.models import Institution, Roster, RosterEntry, User
from libraries.rosters import RejectionReason, Report, RosterRefused, RosterWarning

NOW = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
HEADER = "nummer;geldig_tot;geboortedatum\n"
TWO = HEADER + "2100-0001;31/12/2026;18/05/1993\n21000002;2027-06-30;1980-01-02\n"


def load(institution: Institution, text: str | bytes, **options: Any) -> Report:
    data = text if isinstance(text, bytes) else text.encode()
    return rosters.import_roster(
        institution=institution, source=io.BytesIO(data), **{"by": None, "now": NOW, **options}
    )


def outcome(institution: Institution, *, last_name: str = "Peeters", second_fact: str = "") -> Outcome:
    question = Question(number="21000001", last_name=last_name, second_fact=second_fact, on=NOW.date())
    return membership.ask(institution, question).outcome


def on_list(institution: Institution) -> list[tuple[str, date | None]]:
    return list(
        RosterEntry.objects.filter(institution=institution).order_by("number").values_list("number", "valid_until")
    )


def numbers(values: Iterable[int]) -> str:
    return HEADER + "".join(f"{2100_0000 + value};;\n" for value in values)


def refusal(institution: Institution, text: str | bytes) -> RosterRefused:
    """Every refusal must leave the list and its history as they were."""
    before = on_list(institution), Roster.objects.count()
    with pytest.raises(RosterRefused) as refused:
        load(institution, text)
    assert (on_list(institution), Roster.objects.count()) == before
    return refused.value


def test_list_is_taken_in_and_noted(institution: Institution) -> None:
    lin = User.objects.create_user("lin@library.test")
    report = load(institution, TWO, by=lin)
    assert (report.lines, report.accepted, report.added, report.rejected, report.warnings) == (2, 2, 2, [], [])
    assert on_list(institution) == [("21000001", date(2026, 12, 31)), ("21000002", date(2027, 6, 30))]
    roster = Roster.objects.get()
    assert report.roster == roster
    assert (roster.institution, roster.imported_by, roster.imported_at) == (institution, lin, NOW)
    assert (roster.accepted, roster.rejected, roster.rejections, roster.second_fact) == (2, 0, [], "birth_date")


def test_list_keeps_no_birth_date_in_the_clear(institution: Institution) -> None:
    load(institution, TWO)
    hashes = list(RosterEntry.objects.order_by("number").values_list("fact_hash", flat=True))
    assert [len(fact_hash) for fact_hash in hashes] == [64, 64]
    assert len(set(hashes)) == 2


@pytest.mark.parametrize(
    "header",
    [
        "nummer;geldig_tot;geboortedatum",
        "numero;valable_jusqu_au;date_de_naissance",
        "number;valid_until;birth_date",
        "NUMÉRO;Valable jusqu'au;Date de naissance",
        '"Nummer";"Geldig tot";"Geboortedatum"',
        "\ufeffnummer;geldig_tot;geboortedatum",
    ],
)
@pytest.mark.parametrize("delimiter", [";", ","])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_list_is_read_with_any_known_header(
    institution: Institution, header: str, delimiter: str, newline: str
) -> None:
    lines = [header, "21000001;2026-12-31;1993-05-18", '"21000002";;"1980-01-02"']
    text = newline.join(line.replace(";", delimiter) for line in lines)
    assert load(institution, text).accepted == 2
    assert on_list(institution) == [("21000001", date(2026, 12, 31)), ("21000002", None)]


def test_columns_may_come_in_any_order_with_others_between(institution: Institution) -> None:
    report = load(institution, "voornaam,birth_date,mail,number\nAda,1993-05-18,ada@library.test,21000001\n")
    assert (report.accepted, report.warnings) == (1, [RosterWarning.NO_VALID_UNTIL])
    assert on_list(institution) == [("21000001", None)]


def test_every_rejected_line_is_reported_with_its_number_and_reason(institution: Institution) -> None:
    lines = [
        "21000001;2026-12-31;1993-05-18",
        ";2026-12-31;1993-05-18",
        "",
        "2100é;2026-12-31;1993-05-18",
        "93.05.18-223.61;2026-12-31;1993-05-18",
        f"{'1' * 41};2026-12-31;1993-05-18",
        "2100 0001;2026-12-31;1993-05-18",
        "21000002",
        "21000003;2026-12-31;1993-05-18;and;more",
        "21000004;31/02/2026;1993-05-18",
        "21000005;2026-12-31;18-5-93",
        "21000006;2026-12-31;2026-07-02",
        "21000007;2026-12-31;1993-05-18;;",
        "=cmd|' /C calc'!A0;2026-12-31;1993-05-18",
        "21000008;;",
    ]
    report = load(institution, HEADER + "\n".join(lines))
    assert report.rejected == [
        (3, "empty"),
        (5, "bad_characters"),
        (6, "national_number"),
        (7, "too_long"),
        (8, "duplicate"),
        (9, "few_columns"),
        (10, "many_columns"),
        (11, "bad_valid_until"),
        (12, "bad_date"),
        (13, "future_date"),
        (15, "bad_characters"),
    ]
    assert [number for number, _ in on_list(institution)] == ["21000001", "21000007", "21000008"]
    assert (report.lines, report.accepted, report.without_fact) == (14, 3, 1)
    assert Roster.objects.get().rejections == [list(rejection) for rejection in report.rejected]
    assert {code for _, code in report.rejected} < set(RejectionReason.values)


def test_leading_zeros_make_another_card(institution: Institution) -> None:
    assert load(institution, HEADER + "0042;;\n42;;\n042;;\n").accepted == 3


def test_report_holds_no_personal_data(institution: Institution) -> None:
    report = load(institution, TWO + "93.05.18-223.61;2026-12-31;1993-05-18\n")
    assert "93" not in repr(report.rejected)
    assert "2100" not in repr(report)


def test_last_names_are_the_second_fact_where_the_institution_says_so(institution: Institution) -> None:
    institution.second_fact = "last_name"
    report = load(institution, "nummer;naam;geboortedatum\n21000001;Van den Broeck;no date\n21000002;-;\n")
    assert report.rejected == [(3, "bad_last_name")]
    assert outcome(institution, last_name="VANDENBROECK") == Outcome.CONFIRMED


def test_list_without_second_facts_is_taken_with_a_warning(institution: Institution) -> None:
    report = load(institution, "nummer;naam\n21000001;Peeters\n")
    assert (report.accepted, report.without_fact) == (1, 1)
    assert report.warnings == [RosterWarning.NO_SECOND_FACT, RosterWarning.NO_VALID_UNTIL]


def test_new_list_replaces_the_old_one(institution: Institution, other: Institution) -> None:
    load(institution, TWO)
    load(other, TWO)
    kept = RosterEntry.objects.get(institution=institution, number="21000002")
    report = load(institution, HEADER + "21000002;2028-01-01;1980-01-02\n21000003;;\n")
    assert (report.added, report.changed, report.removed) == (1, 1, 1)
    assert on_list(institution) == [("21000002", date(2028, 1, 1)), ("21000003", None)]
    assert RosterEntry.objects.get(institution=institution, number="21000002").pk == kept.pk
    assert len(on_list(other)) == 2


def test_same_list_again_changes_no_entry(institution: Institution) -> None:
    load(institution, TWO)
    report = load(institution, TWO)
    assert (report.added, report.changed, report.removed) == (0, 0, 0)
    assert Roster.objects.count() == 2


def test_dry_run_tells_what_would_change_and_changes_nothing(institution: Institution) -> None:
    load(institution, TWO)
    report = load(institution, HEADER + "21000002;2028-01-01;1980-01-02\n21000003;;\n\n;;\n", dry_run=True)
    assert (report.added, report.changed, report.removed, report.roster) == (1, 1, 1, None)
    assert report.rejected == [(5, "empty")]
    assert on_list(institution) == [("21000001", date(2026, 12, 31)), ("21000002", date(2027, 6, 30))]
    assert Roster.objects.count() == 1


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ("", "empty", 0),
        ("\ufeff", "empty", 0),
        ("\n\n", "empty", 0),
        (HEADER, "no_lines", 0),
        (HEADER + "\n  \n", "no_lines", 0),
        ("21000001;2026-12-31;1993-05-18\n", "columns", 0),
        ("nummer;nummer\n1;2\n", "columns", 0),
        ("nummer;numero\n1;2\n", "columns", 0),
        ("nummer\tgeboortedatum\n1\t1993-05-18\n", "columns", 0),
        (TWO.encode() + b"2100\x810003;;\n", "not_utf8", 4),
        (TWO.encode() + "2100é3;;\n2100é4;;\n".encode("cp1252") + "2100é5;;\n".encode(), "mixed", 6),
        (TWO.encode() + "2100é3;;\n".encode() + "2100é4;;\n".encode("cp1252"), "mixed", 5),
        ("\ufeff".encode() + TWO.encode() + "2100é3;;\n".encode("cp1252"), "mixed", 4),
        (TWO.encode("utf-16"), "binary", 0),
        (TWO.encode("utf-16-be"), "binary", 0),
        (b"PK\x03\x04\x14\x00\x06\x00" + bytes(range(256)), "binary", 0),
        (TWO + "2100\x000003;;\n", "binary", 0),
        (TWO + "2" * 5000 + ";;\n", "line_too_long", 4),
        (TWO + "21000003;2026", "truncated", 4),
        (TWO + "21000003\n", "truncated", 4),
        (TWO + "21000003;31/12/2027;18/05/19", "truncated", 4),
        (TWO + '21000003;31/12/2027;"18/05/1993\n', "quotes", 4),
        (HEADER + '21000003;;"18/05/1993\n' + "21000004;;\n" * 20_000, "quotes", 2),
        (HEADER + '21000003;;"18/05/1993\n21000004;;18/05/1993"\n', "quotes", 2),
        (HEADER + '21000003;;"18"05"\n', "quotes", 2),
        (HEADER + "2100é;;\n2100è;;\n", "nothing_accepted", 0),
        (HEADER.strip() + "\r21000001;;\r", "columns", 0),
    ],
)
def test_file_that_cannot_be_trusted_changes_nothing(
    institution: Institution, text: str | bytes, code: str, line: int
) -> None:
    load(institution, TWO)
    refused = refusal(institution, text)
    assert (refused.code, refused.line) == (code, line)
    assert str(line) in refused.message if line else refused.message


@pytest.mark.parametrize("dry_run", [False, True])
def test_list_cut_off_where_its_last_line_still_reads_well_changes_nothing(
    institution: Institution, dry_run: bool
) -> None:
    whole = HEADER + "".join(f"{2100_0000 + value};;1993-05-18\n" for value in range(1_000))
    load(institution, whole)
    half = whole[: len(whole) // 2].rpartition("\n")[0].removesuffix("8")
    with pytest.raises(RosterRefused, match="cut_off"):
        load(institution, half, dry_run=dry_run)
    assert (len(on_list(institution)), Roster.objects.count()) == (1_000, 1)
    assert load(institution, half + "\n", dry_run=dry_run).removed > 100


def test_list_that_leaves_out_its_last_line_break_is_taken(institution: Institution) -> None:
    load(institution, numbers(range(1_000)))
    assert load(institution, numbers(range(950)).rstrip("\n")).removed == 50


def test_refusal_tells_which_lines_were_rejected(institution: Institution) -> None:
    refused = refusal(institution, HEADER + "2100é;;\n;;\n")
    assert refused.rejected == [(2, "bad_characters"), (3, "empty")]


def test_file_that_is_too_big_changes_nothing(
    institution: Institution, settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(institution, TWO)
    settings.ROSTER_MAX_BYTES = len(TWO)
    assert load(institution, TWO).accepted == 2
    assert refusal(institution, TWO + "\n").code == "too_big"
    settings.ROSTER_MAX_BYTES = 10_000
    monkeypatch.setattr(roster_files, "MAX_LINES", 2)
    assert load(institution, TWO).accepted == 2
    assert refusal(institution, TWO + "21000003;;\n").code == "too_many_lines"


class Endless(io.RawIOBase):
    """A file without end and without lines, such as /dev/zero would be with another letter."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"7" * len(buffer)
        return len(buffer)


def test_endless_line_is_refused_at_once(institution: Institution) -> None:
    with pytest.raises(RosterRefused, match="line_too_long"):
        rosters.import_roster(institution=institution, source=io.BufferedReader(Endless()), by=None, now=NOW)


def test_progress_is_told_as_lines_are_read(institution: Institution) -> None:
    told: list[int] = []
    load(institution, HEADER + "".join(f"{number};;\n" for number in range(12_001)), progress=told.append)
    assert told == [5_000, 10_000, 12_001]


def test_facts_are_those_of_the_institution_and_number(institution: Institution, other: Institution) -> None:
    load(institution, TWO)
    load(other, HEADER + "21000001;2030-01-01;1993-05-18\n")
    ours, theirs = rosters.facts_for(institution, "21000001"), rosters.facts_for(other, "21000001")
    assert ours is not None
    assert theirs is not None
    assert (ours.valid_until, theirs.valid_until) == (date(2026, 12, 31), date(2030, 1, 1))
    assert ours.fact_hash != theirs.fact_hash
    assert rosters.fact_key(institution) != rosters.fact_key(other)
    assert rosters.facts_for(institution, "21000009") is None


def test_card_on_the_list_is_confirmed_by_its_second_fact_alone(institution: Institution) -> None:
    load(institution, TWO)
    outcomes = [outcome(institution, second_fact=typed) for typed in ("18/05/1993", "19/05/1993", "")]
    assert outcomes == [Outcome.CONFIRMED, Outcome.UNKNOWN_OR_WRONG, Outcome.UNKNOWN_OR_WRONG]


def test_facts_of_another_kind_than_asked_for_now_go_to_a_librarian(institution: Institution) -> None:
    load(institution, TWO)
    institution.second_fact = "last_name"
    assert outcome(institution, last_name="Peeters") == Outcome.BY_HAND


def test_institution_that_checks_by_hand_asks_no_list(institution: Institution) -> None:
    load(institution, TWO)
    institution.card_check = "by_hand"
    assert outcome(institution, second_fact="18/05/1993") == Outcome.BY_HAND


@pytest.mark.parametrize(
    "wrong", [{"number": "21-00"}, {"number": ""}, {"fact_hash": "1993-05-18"}, {"fact_hash": "ab12"}]
)
def test_database_takes_only_normal_numbers_and_hashes(institution: Institution, wrong: dict[str, str]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        RosterEntry.objects.create(institution=institution, **{"number": "2100", "fact_hash": "", **wrong})
