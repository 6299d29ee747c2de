"""From an institution's row to its Koha and back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from pytest_django import Settings

from libraries import membership
from libraries.cards.checks import Answer, Outcome, Question, Trouble
from libraries.models import Institution
from tests.factories import make_system
from tests.libraries.cards.koha_server import LOGIN, SECRET, Koha, running_koha


@pytest.fixture
def koha() -> Iterator[Koha]:
    with running_koha() as koha:
        koha.add("2100")
        yield koha


@pytest.fixture
def asked(institution: Institution, koha: Koha) -> Institution:
    make_system(institution, kind="koha", address=koha.url, login=LOGIN, secret_name="KOHA_SECRET")
    return institution


def ask(institution: Institution) -> Answer:
    question = Question(number="2100", last_name="Peeters", on=date(2026, 7, 1), pin="1234")
    return membership.ask(institution, question)


def test_card_is_proved_with_the_secret_that_the_row_names(asked: Institution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOHA_SECRET", SECRET)
    assert ask(asked) == Answer(Outcome.CONFIRMED, date(2099, 12, 31))


def test_secret_that_is_not_there_is_told(asked: Institution, koha: Koha) -> None:
    assert ask(asked) == Answer(Outcome.NO_ANSWER, trouble=Trouble.SECRET_MISSING)
    assert koha.connections == set()


def test_private_address_is_asked_only_where_the_operator_allows_it(
    asked: Institution, koha: Koha, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOHA_SECRET", SECRET)
    settings.ALLOW_PRIVATE_ADDRESSES = False
    asked.system.address = koha.url.replace("http:", "https:")
    asked.system.save()
    assert ask(asked) == Answer(Outcome.NO_ANSWER, trouble=Trouble.ADDRESS_FORBIDDEN)
    assert koha.connections == set()
