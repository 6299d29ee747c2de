import pytest

from libraries.models import Institution


@pytest.fixture
def institution(db: None) -> Institution:
    return Institution.objects.create(
        slug="antwerpen", name="Antwerpen", postal_code="2000", city="Antwerpen", card_check="roster"
    )


@pytest.fixture
def other(db: None) -> Institution:
    return Institution.objects.create(slug="halle", name="Halle", postal_code="1500", city="Halle", card_check="roster")
