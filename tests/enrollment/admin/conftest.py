from collections.abc import Iterator

import pytest
from django.utils import translation


@pytest.fixture(autouse=True)
def _in_the_language_of_the_source() -> Iterator[None]:
    """What the workplace says is compared in English, so that a better translation breaks no test: addresses that are
    made by their names begin with /en/."""
    with translation.override("en"):
        yield
