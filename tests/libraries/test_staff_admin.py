"""Who may make whom what: operators manage staff, and nobody lifts themselves."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from libraries.models import Institution, StaffRole, User
from tests.factories import make_coordinator, make_institution, make_librarian, make_library, make_staff, make_user
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
Role = StaffRole.Role
ADD = "/admin/libraries/user/add/"


@pytest.fixture
def oz() -> User:
    return make_staff("oz@example.test", Role.OPERATOR)


def person_form(
    email: str = "new@example.test", *roles: tuple[str, Institution | None], **fields: Any
) -> dict[str, Any]:
    form = {"email": email, "first_name": "Nel", "last_name": "Nieuw", "language": "nl", **fields}
    form |= {"staff_roles-TOTAL_FORMS": len(roles), "staff_roles-INITIAL_FORMS": 0}
    for number, (role, institution) in enumerate(roles):
        form[f"staff_roles-{number}-role"] = role
        form[f"staff_roles-{number}-institution"] = institution.pk if institution else ""
    return form


def roles_of(email: str) -> list[tuple[str, str | None]]:
    return list(StaffRole.objects.filter(user__email=email).values_list("role", "institution__slug"))


def change(client: Client, someone: User, *roles: tuple[str, Institution | None], **fields: Any) -> Any:
    address = reverse("admin:libraries_user_change", args=[someone.pk])
    form = {"is_staff": "on", "is_active": "on", **person_form(someone.email, *roles, **fields)}
    return client.post(address, form)


def test_operator_takes_on_a_librarian(oz: User) -> None:
    institution = make_institution()
    sign_in(oz).post(ADD, person_form("New@Example.test ", (Role.LIBRARIAN, institution)))
    new = User.objects.get(email="new@example.test")
    assert (new.is_staff, new.is_superuser, new.has_usable_password()) == (True, False, False)
    assert roles_of("new@example.test") == [(Role.LIBRARIAN, "antwerpen")]


def test_member_becomes_staff_and_stays_the_same_person(oz: User) -> None:
    ada = make_user("ada@example.test")
    sign_in(oz).post(ADD, person_form("ada@example.test", (Role.AUDITOR, None)))
    ada.refresh_from_db()
    assert (ada.is_staff, User.objects.filter(email="ada@example.test").count()) == (True, 1)
    assert roles_of("ada@example.test") == [(Role.AUDITOR, None)]


def test_somebody_who_is_staff_already_is_not_taken_on_again(oz: User) -> None:
    lin = make_librarian()
    page = sign_in(oz).post(ADD, person_form(lin.email, (Role.COORDINATOR, None)))
    assert page.context["adminform"].errors.keys() == {"email"}
    assert roles_of(lin.email) == [(Role.LIBRARIAN, "antwerpen")]


@pytest.mark.parametrize(("role", "needs"), [(Role.LIBRARIAN, False), (Role.COORDINATOR, True)])
def test_librarians_have_an_institution_and_others_none(oz: User, role: str, needs: bool) -> None:
    institution = make_institution() if needs else None
    sign_in(oz).post(ADD, person_form("new@example.test", (role, institution)))
    assert User.objects.filter(email="new@example.test").count() == 0


def test_operator_makes_no_operators_and_no_superusers(oz: User) -> None:
    client = sign_in(oz)
    client.post(ADD, person_form("new@example.test", (Role.OPERATOR, None)))
    assert User.objects.filter(email="new@example.test").count() == 0
    change(client, make_librarian(), is_superuser="on")
    assert User.objects.filter(is_superuser=True).count() == 0


@pytest.mark.parametrize("who", ["self", "equal", "superuser"])
def test_operator_changes_neither_themselves_nor_equals_nor_betters(oz: User, who: str) -> None:
    others = {
        "self": lambda: oz,
        "equal": lambda: make_staff("op@example.test", Role.OPERATOR),
        "superuser": lambda: User.objects.create_superuser("root@example.test"),
    }
    someone = others[who]()
    before = roles_of(someone.email)
    assert change(sign_in(oz), someone, (Role.COORDINATOR, None), first_name="X").status_code == 403
    assert roles_of(someone.email) == before


def test_address_of_staff_cannot_be_taken_over(oz: User) -> None:
    lin = make_librarian()
    client = sign_in(oz)
    address = reverse("admin:libraries_user_change", args=[lin.pk])
    client.post(address, {**person_form("oz+lin@example.test"), "is_staff": "on", "is_active": "on"})
    lin.refresh_from_db()
    assert lin.email == "lin@example.test"


@pytest.mark.parametrize("make", [make_librarian, make_coordinator])
def test_others_do_not_manage_staff(make: Any) -> None:
    client = sign_in(make())
    assert client.get("/admin/libraries/user/").status_code == 403
    assert client.post(ADD, person_form("new@example.test", (Role.AUDITOR, None))).status_code == 403


def test_members_are_not_in_the_list_of_staff(oz: User) -> None:
    ada = make_user()
    client = sign_in(oz)
    assert ada.email not in client.get("/admin/libraries/user/").content.decode()
    assert client.get(reverse("admin:libraries_user_change", args=[ada.pk])).status_code == 302


def test_library_with_cards_does_not_move(oz: User) -> None:
    library, halle = make_library(), make_institution("halle")
    form = {"institution": halle.pk, "name": "Permeke", "postal_code": "2060", "city": "Antwerpen"}
    sign_in(oz).post(reverse("admin:libraries_library_change", args=[library.pk]), form)
    library.refresh_from_db()
    assert (library.institution.slug, library.postal_code) == ("antwerpen", "2060")


def test_admin_log_holds_no_name(oz: User) -> None:
    sign_in(oz).post(ADD, person_form("new@example.test", (Role.AUDITOR, None)))
    entry = LogEntry.objects.get()
    told = f"{entry.object_repr} {entry.change_message}"
    assert [word for word in ("new@", "Nel", "Nieuw") if word in told] == []
