from collections.abc import Iterator
from pathlib import Path

import pytest

from libraries.cards import koha_api
from tests.certificates import Authority
from tests.libraries.cards.koha_server import Koha, running_koha


@pytest.fixture
def koha() -> Iterator[Koha]:
    """With Ada's card, 2100, and its PIN 1234."""
    with running_koha() as koha:
        koha.add("2100", userid="ada.peeters")
        yield koha


@pytest.fixture(autouse=True)
def _no_tokens_of_other_tests() -> None:
    koha_api._tokens._kept.clear()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
