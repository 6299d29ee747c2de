from collections.abc import Iterator

import pytest
from django.test import Client
from django.utils import translation

from libraries.models import StaffRole
from tests.factories import make_staff
from tests.workplace import sign_in


@pytest.fixture(autouse=True)
def _in_the_language_of_the_source() -> Iterator[None]:
    """What the workplace says is compared in English, so that a better translation breaks no test: addresses that are
    made by their names begin with /en/."""
    with translation.override("en"):
        yield


@pytest.fixture
def ops(db: None) -> Client:
    """An operator at work."""
    return sign_in(make_staff("ops@example.test", StaffRole.Role.OPERATOR))
