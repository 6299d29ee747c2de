import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def _in_the_language_of_the_source(settings: Settings) -> None:
    """What the workplace says is compared in English, so that a better translation breaks no test."""
    settings.LANGUAGE_CODE = "en"
