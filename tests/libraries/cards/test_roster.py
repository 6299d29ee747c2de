from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libraries.cards.checks import Answer, Outcome, Question
from libraries.cards.roster import (
    BIRTH_DATE,
    LAST_NAME,
    InvalidFact,
    RosterCheck,
    RosterFacts,
    hash_fact,
    normalize_fact,
    parse_date,
)

TODAY = date(2026, 7, 1)
KEY = b"k" * 32
NUMBER = "2100012345678"


def facts(fact: str = "1993-05-18", *, kind: str = BIRTH_DATE, valid_until: date | None = None) -> RosterFacts:
    return RosterFacts(valid_until, hash_fact(KEY, 1, NUMBER, kind, fact) if fact else "")


def ask(
    on_roster: RosterFacts | None,
    *,
    second_fact: str | None = None,
    last_name: str = "Peeters",
    kind: str = BIRTH_DATE,
    number: str = NUMBER,
    institution_id: int = 1,
    key: bytes = KEY,
    tells: bool = False,
) -> Answer:
    check = RosterCheck(facts=on_roster, kind=kind, institution_id=institution_id, key=key, tells_unknown_cards=tells)
    return check.ask(Question(number=number, second_fact=second_fact, last_name=last_name, on=TODAY))


def test_number_with_the_right_birth_date_is_confirmed() -> None:
    good = facts(valid_until=date(2026, 12, 31))
    assert ask(good, second_fact="18/05/1993") == Answer(Outcome.CONFIRMED, date(2026, 12, 31))


def test_number_with_the_right_last_name_is_confirmed() -> None:
    good = facts("vandenbroeck", kind=LAST_NAME)
    assert ask(good, kind=LAST_NAME, last_name="Van den Broeck") == Answer(Outcome.CONFIRMED)
    assert ask(good, kind=LAST_NAME, last_name="", second_fact="VAN-DEN BROECK") == Answer(Outcome.CONFIRMED)


@pytest.mark.parametrize("second_fact", [None, "", "  "])
def test_number_alone_confirms_nothing(second_fact: str | None) -> None:
    empty_hashed = RosterFacts(None, hash_fact(KEY, 1, NUMBER, BIRTH_DATE, ""))
    assert ask(facts(), second_fact=second_fact) == Answer(Outcome.UNKNOWN_OR_WRONG)
    assert ask(empty_hashed, second_fact=second_fact) == Answer(Outcome.UNKNOWN_OR_WRONG)


def test_number_without_a_second_fact_on_the_list_goes_to_a_librarian() -> None:
    assert ask(facts(""), second_fact="18/05/1993") == Answer(Outcome.BY_HAND)
    assert ask(facts("", valid_until=date(2020, 1, 1)), second_fact=None) == Answer(Outcome.BY_HAND)


def test_unknown_number_and_wrong_fact_read_alike() -> None:
    assert ask(None, second_fact="18/05/1993") == ask(facts(), second_fact="19/05/1993")
    assert ask(None, second_fact="18/05/1993") == Answer(Outcome.UNKNOWN_OR_WRONG)


def test_unknown_number_and_wrong_fact_are_told_apart_where_the_institution_chose_so() -> None:
    assert ask(None, second_fact="18/05/1993", tells=True) == Answer(Outcome.UNKNOWN)
    assert ask(facts(), second_fact="19/05/1993", tells=True) == Answer(Outcome.WRONG_FACT)


def test_expiry_is_told_only_after_the_right_fact() -> None:
    expired = facts(valid_until=date(2026, 6, 30))
    assert ask(expired, second_fact="18/05/1993") == Answer(Outcome.EXPIRED, date(2026, 6, 30))
    assert ask(expired, second_fact="19/05/1993") == Answer(Outcome.UNKNOWN_OR_WRONG)


def test_card_is_good_on_its_last_day() -> None:
    assert ask(facts(valid_until=TODAY), second_fact="18/05/1993") == Answer(Outcome.CONFIRMED, TODAY)


def test_fact_of_another_number_institution_kind_or_key_is_wrong() -> None:
    wrong = Answer(Outcome.UNKNOWN_OR_WRONG)
    assert ask(facts(), second_fact="18/05/1993", number="2100012345679") == wrong
    assert ask(facts(), second_fact="18/05/1993", institution_id=2) == wrong
    assert ask(facts(), second_fact="18/05/1993", key=b"other") == wrong
    assert ask(facts("1993-05-18", kind=LAST_NAME), second_fact="18/05/1993") == wrong


def test_question_and_facts_never_show_who_asks() -> None:
    question = Question(number=NUMBER, pin="1234", second_fact="18/05/1993", last_name="Peeters", on=TODAY)
    assert repr(question) == "Question(on=datetime.date(2026, 7, 1))"
    assert repr(facts()) == "RosterFacts(valid_until=None)"


@pytest.mark.parametrize(
    "typed",
    [
        "1993-05-18", "1993-5-18", "1993/05/18", "18/05/1993", "18-5-1993", "18.05.1993", "18 05 1993", " 18/5/1993 ",
    ],
)  # fmt: skip
def test_birth_date_is_read_in_every_usual_form(typed: str) -> None:
    assert normalize_fact(BIRTH_DATE, typed, on=TODAY) == "1993-05-18"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("18-5-93", "bad_date"),
        ("05/18/1993", "bad_date"),
        ("30/02/1993", "bad_date"),
        ("29/02/2023", "bad_date"),
        ("00/05/1993", "bad_date"),
        ("31/12/1899", "bad_date"),
        ("18/05-1993", "bad_date"),
        ("18 mei 1993", "bad_date"),
        ("19930518", "bad_date"),
        ("93.05.18-223.61", "bad_date"),
        ("1" * 10_000, "bad_date"),
        ("1\N{ARABIC-INDIC DIGIT EIGHT}/05/1993", "bad_date"),
        ("02/07/2026", "future_date"),
    ],
)
def test_birth_date_that_cannot_be_one_is_refused_with_a_code(typed: str, code: str) -> None:
    for on_roster in (None, facts(), facts("")):
        with pytest.raises(InvalidFact) as refused:
            ask(on_roster, second_fact=typed)
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Van den Broeck", "VANDENBROECK"),
        ("Van den Broeck", "van-den broeck"),
        ("D'Hondt", "D\N{RIGHT SINGLE QUOTATION MARK}HONDT"),
        ("Ó Súilleabháin", "O Suilleabhain"),
        (
            "Ó Súilleabháin",
            "O\N{COMBINING ACUTE ACCENT} Su\N{COMBINING ACUTE ACCENT}illeabha\N{COMBINING ACUTE ACCENT}in",
        ),
        ("Weiß", "WEISS"),
        ("Weiß", "WEI\N{LATIN CAPITAL LETTER SHARP S}"),
        ("Sørensen", "SORENSEN"),
        ("Lefœbvre", "Lefoebvre"),
        ("Yılmaz", "YILMAZ"),
        ("İnan", "Inan"),
        ("Łukasz", "Lukasz"),
        ("De\N{NO-BREAK SPACE}Smet", "Desmet"),
        ("Иванов", "ИВАНОВ"),
    ],
)
def test_last_name_is_the_same_however_it_is_written(one: str, other: str) -> None:
    assert normalize_fact(LAST_NAME, one, on=TODAY) == normalize_fact(LAST_NAME, other, on=TODAY)


def test_last_names_that_differ_stay_different() -> None:
    names = ["Peeters", "Peters", "Иванов", "Иванова", "王", "李", "محمد", "أحمد", "शर्मा", "शर्मी"]
    assert len({normalize_fact(LAST_NAME, name, on=TODAY) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("-", "bad_last_name"),
        ("\N{GRINNING FACE}", "bad_last_name"),
        ("a" * 201, "bad_last_name"),
        ("93.05.18-223.61", "national_number"),
    ],
)
def test_last_name_that_cannot_be_one_is_refused_with_a_code(typed: str, code: str) -> None:
    with pytest.raises(InvalidFact) as refused:
        normalize_fact(LAST_NAME, typed, on=TODAY)
    assert refused.value.code == code


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_last_name_in_any_case_and_form_is_the_same(name: str) -> None:
    try:
        normal = normalize_fact(LAST_NAME, name, on=TODAY)
    except InvalidFact:
        return
    if normal:
        assert normalize_fact(LAST_NAME, f" {name}- ", on=TODAY) == normal
        assert normalize_fact(LAST_NAME, normal, on=TODAY) == normal


@settings(max_examples=100, deadline=None)
@given(st.dates(min_value=date(1900, 1, 1)))
def test_every_date_is_read_back(day: date) -> None:
    assert parse_date(day.isoformat()) == parse_date(f"{day.day}/{day.month}/{day.year:04d}") == day
