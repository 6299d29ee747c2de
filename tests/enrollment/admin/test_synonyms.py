"""Words that mean the same are kept in the workplace, by those who keep the catalog."""

import pytest
from django.test import Client

from catalog.models import Synonym
from libraries.models import StaffRole
from tests.factories import make_coordinator, make_librarian, make_staff
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

LIST = "/en/admin/catalog/synonym/"


@pytest.fixture
def coordinator() -> Client:
    return sign_in(make_coordinator())


def test_coordinator_adds_changes_and_deletes(coordinator: Client) -> None:
    assert coordinator.post(f"{LIST}add/", {"words": "Spaans, espagnol"}).status_code == 302
    synonym = Synonym.objects.get()
    address = f"{LIST}{synonym.pk}"
    assert coordinator.post(f"{address}/change/", {"words": "Spaans, espagnol, Spanish"}).status_code == 302
    assert Synonym.objects.get().words == "Spaans, espagnol, Spanish"
    assert "Spaans, espagnol, Spanish" in coordinator.get(LIST).content.decode()
    assert coordinator.post(f"{address}/delete/", {"post": "yes"}).status_code == 302
    assert not Synonym.objects.exists()


@pytest.mark.parametrize("words", ["", "Spaans", "Spaans,", "Spaans, spaans", ", ,", "x," * 300, "a,\x00b"])
def test_what_says_nothing_is_not_kept(coordinator: Client, words: str) -> None:
    response = coordinator.post(f"{LIST}add/", {"words": words})
    assert response.status_code == 200
    assert response.context["adminform"].form.errors
    assert not Synonym.objects.exists()


def test_others_change_nothing() -> None:
    synonym = Synonym.objects.create(words="Spaans, espagnol")
    auditor = sign_in(make_staff("au@example.test", StaffRole.Role.AUDITOR))
    assert auditor.get(LIST).status_code == 200
    for client in (auditor, sign_in(make_librarian())):
        assert client.post(f"{LIST}{synonym.pk}/change/", {"words": "a, b"}).status_code == 403
        assert client.post(f"{LIST}{synonym.pk}/delete/", {"post": "yes"}).status_code == 403
        assert client.get(f"{LIST}add/").status_code == 403
    assert Synonym.objects.get().words == "Spaans, espagnol"
