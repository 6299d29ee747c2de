from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from enrollment.models import Event, ProviderAccount
from libraries.models import StaffRole
from tests.factories import make_coordinator, make_librarian, make_staff
from tests.workplace import Scene, make_scene, sign_in

pytestmark = pytest.mark.django_db
LIST = "/en/admin/enrollment/provideraccount/"


@pytest.fixture
def scene() -> Scene:
    return make_scene()


@pytest.fixture
def account(scene: Scene) -> ProviderAccount:
    return ProviderAccount.objects.get(user=scene.cy.user)


def said(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_list_tells_the_trouble_in_words_and_no_names(account: ProviderAccount) -> None:
    html = sign_in(make_coordinator()).get(f"{LIST}?stuck=yes").content.decode()
    assert "Another account at the provider has this user name" in html
    assert account.user.last_name not in html


@pytest.mark.parametrize("role", [StaffRole.Role.COORDINATOR, StaffRole.Role.OPERATOR])
def test_trying_again_is_recorded(account: ProviderAccount, role: str) -> None:
    someone = make_staff("oz@example.test", role)
    page = sign_in(someone).post(
        LIST, {"action": "try_again", "_selected_action": account.pk, "index": "0"}, follow=True
    )
    assert said(page) == ["1 account is tried again now."]
    account.refresh_from_db()
    assert (account.stuck_at, account.trouble) == (None, "")
    assert Event.objects.get(kind=Event.Kind.ACCOUNT_RETRIED).actor_id == someone.pk


def test_trying_again_what_is_not_stuck_does_nothing(account: ProviderAccount) -> None:
    ProviderAccount.objects.update(stuck_at=None, trouble="")
    address = reverse("admin:enrollment_provideraccount_remedy", args=[account.pk, "try_again"])
    page = sign_in(make_coordinator()).post(address, follow=True)
    assert said(page) == ["1 was left as it was. It was not stuck."]


def test_librarian_does_not_follow_the_provider(account: ProviderAccount, scene: Scene) -> None:
    lin = sign_in(make_librarian(scene.own))
    assert lin.get(LIST).status_code == 403
    assert lin.get(reverse("admin:enrollment_provideraccount_change", args=[account.pk])).status_code == 403


def test_letters_and_events_name_no_member(scene: Scene) -> None:
    mo = sign_in(make_coordinator())
    for name in ("letter", "event"):
        html = mo.get(reverse(f"admin:enrollment_{name}_changelist")).content.decode()
        assert f"#{scene.cy.pk}" in html
        assert [word for word in ("Kanarie", "zeldzaam", "99887766") if word in html] == []


def test_event_names_staff_and_numbers_members(scene: Scene) -> None:
    mo = make_coordinator(first_name="Mo", last_name="Janssens")
    client = sign_in(mo)
    client.post(reverse("admin:enrollment_enrollment_disputes"), {"card": scene.cy.card_id})
    html = client.get(reverse("admin:enrollment_event_changelist")).content.decode()
    assert "Mo Janssens" in html
    assert f"#{scene.cy.user_id}" in html
