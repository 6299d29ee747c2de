from __future__ import annotations

from datetime import date

import pytest

from libraries.cards.checks import Answer, Outcome, Question
from libraries.cards.koha import KohaCheck
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


SYSTEM = SystemFacts(institution_id=1, address="https://koha.example", asks_pin=True)


# Asking over SIP2 has no check yet.
@pytest.mark.parametrize("kind", set(Institution.CardCheck.values) - {"sip2"})
def test_every_kind_an_institution_may_have_is_known(kind: str) -> None:
    assert check_for(kind, Setup(institution_id=1, system=SYSTEM)).asks_pin == (kind == "koha")


def test_system_is_asked_as_its_settings_say() -> None:
    setup = Setup(institution_id=1, system=SYSTEM)
    assert system_for("koha", setup) == check_for("koha", setup) == KohaCheck(SYSTEM)
    assert system_for("koha", setup).needs_second_fact is False


@pytest.mark.parametrize("kind", ["by_hand", "roster"])
def test_kind_that_asks_no_system_has_none(kind: str) -> None:
    with pytest.raises(UnknownKind, match=kind):
        system_for(kind, Setup(institution_id=1, system=SYSTEM))


def test_system_without_settings_is_not_asked() -> None:
    with pytest.raises(UnknownKind, match="without settings"):
        check_for("koha", Setup(institution_id=1))


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownKind, match="psychic"):
        check_for("psychic", Setup(institution_id=1))
