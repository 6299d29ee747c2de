"""The table of mutants fits the code. Whether the tests miss what they take out: python -m tests.mutants"""

from pathlib import Path

import pytest

from tests.mutants.mutant import Mutant
from tests.mutants.table import MUTANTS, PROMISES

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_guard_stands_once_and_its_tests_are_there(mutant: Mutant) -> None:
    assert (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.guard) == 1
    assert mutant.mutation != mutant.guard
    for path, _colons, name in (test.partition("::") for test in mutant.tests):
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text(encoding="utf-8")


def test_each_promise_has_a_mutant_with_a_name_of_its_own() -> None:
    assert {mutant.promise for mutant in MUTANTS} == PROMISES
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
