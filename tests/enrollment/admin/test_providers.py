"""Where operators say how a provider is reached: its secret is named, and is none of the portal's own."""

from __future__ import annotations

import pytest

from catalog.models import Provider
from libraries.models import StaffRole
from tests.factories import make_staff
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "errors"), [("SPRING_TOKEN", set()), ("lower", {"secret_name"}), ("SECRET_KEY", {"secret_name"})]
)
def test_secrets_of_the_portal_are_not_sent_to_a_provider(name: str, errors: set[str]) -> None:
    ops = sign_in(make_staff("ops@example.test", StaffRole.Role.OPERATOR))
    told = {
        "slug": "spring",
        "name": "Spring",
        "kind": "scim",
        "base_url": "https://scim.spring.example",
        "start_url": "https://spring.example",
        "secret_name": name,
    }
    page = ops.post("/en/admin/catalog/provider/add/", told)
    assert (set(page.context["adminform"].form.errors) if page.context else set()) == errors
    assert Provider.objects.count() == (0 if errors else 1)
