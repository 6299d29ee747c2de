from __future__ import annotations

from datetime import date

import pytest

from libraries.cards.checks import Answer, Outcome, Question
from libraries.cards.registry import Setup, UnknownKind, check_for, system_for
from libraries.cards.roster import RosterFacts, hash_fact
from libraries.cards.systems import SystemFacts
from libraries.models import Institution

QUESTION = Question(number="2100", second_fact="18/05/1993", last_name="Peeters", on=date(2026, 7, 1))


def test_by_hand_check_leaves_it_to_a_librarian_and_asks_nothing_more() -> None:
    check = check_for("by_hand", Setup(institution_id=1))
    assert check.ask(QUESTION) == Answer(Outcome.BY_HAND)
    assert (check.needs_second_fact, check.asks_pin) == (False, False)


def test_roster_check_gets_what_it_needs() -> None:
    on_roster = RosterFacts(None, hash_fact(b"key", 1, "2100", "birth_date", "1993-05-18"))
    check = check_for("roster", Setup(institution_id=1, second_fact="birth_date", key=b"key", roster=on_roster))
    assert check.ask(QUESTION) == Answer(Outcome.CONFIRMED)
    assert (check.needs_second_fact, check.asks_pin) == (True, False)


def test_roster_check_with_last_names_asks_nothing_more() -> None:
    check = check_for("roster", Setup(institution_id=1, second_fact="last_name", key=b"key"))
    assert check.needs_second_fact is False
    assert check.ask(QUESTION) == Answer(Outcome.UNKNOWN_OR_WRONG)


def test_roster_check_tells_unknown_cards_where_the_institution_chose_so() -> None:
    setup = Setup(institution_id=1, second_fact="birth_date", key=b"key", tells_unknown_cards=True)
    assert check_for("roster", setup).ask(QUESTION) == Answer(Outcome.UNKNOWN)


@pytest.mark.parametrize("kind", [kind for kind in Institution.CardCheck if kind not in Institution.ASKED])
def test_every_kind_that_asks_no_system_is_known(kind: str) -> None:
    assert check_for(kind, Setup(institution_id=1)).asks_pin is False


@pytest.mark.parametrize("kind", Institution.ASKED)
def test_kind_that_asks_a_system_is_told_how_it_is_reached(kind: str) -> None:
    setup = Setup(institution_id=1, system=SystemFacts(institution_id=1, address="sip.example", asks_pin=False))
    for check in (check_for(kind, setup), system_for(kind, setup)):
        assert (check.needs_second_fact, check.asks_pin) == (False, False)
    with pytest.raises(UnknownKind, match="without settings"):
        check_for(kind, Setup(institution_id=1))


@pytest.mark.parametrize("kind", ["by_hand", "roster"])
def test_kind_that_asks_no_system_has_none(kind: str) -> None:
    with pytest.raises(UnknownKind, match=kind):
        system_for(kind, Setup(institution_id=1))


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownKind, match="psychic"):
        check_for("psychic", Setup(institution_id=1))
