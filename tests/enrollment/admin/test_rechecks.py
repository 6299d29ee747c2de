"""Where staff see how it goes with asking again, and operators let it go on after the fuse has blown."""

from __future__ import annotations

import pytest
from django.test import Client

from enrollment.models import Event
from libraries.models import Doubt, LibrarySystem, Rechecking, StaffRole, User
from tests.card_systems import PIN, answer_in_place_of
from tests.factories import (
    NOW,
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_staff,
    make_system,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

LIST = "/en/admin/libraries/rechecking/"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> LibrarySystem:
    """With one doubt."""
    system = make_system(make_library().institution, rechecks_stopped_at=NOW)
    answer_in_place_of("sip2", monkeypatch)
    ada = make_member(programme=make_programme(), pin=PIN)
    Doubt.objects.create(card=ada.card, institution=system.institution, says="unknown", found_at=NOW, asked_at=NOW)
    return system


@pytest.fixture
def una() -> User:
    return make_staff("una@example.test", StaffRole.Role.OPERATOR)


def press(client: Client, system: LibrarySystem, how: str) -> int:
    return client.post(f"{LIST}{system.pk}/go-on/{how}/").status_code


def is_stopped(system: LibrarySystem) -> bool:
    return LibrarySystem.objects.get(pk=system.pk).rechecks_stopped_at is not None


@pytest.mark.parametrize(
    ("how", "reason", "doubts"), [("believe", "doubts_believed", 1), ("forget", "doubts_forgotten", 0)]
)
def test_operator_lets_it_go_on(how: str, reason: str, doubts: int, stopped: LibrarySystem, una: User) -> None:
    client = sign_in(una)
    page = client.get(f"{LIST}{stopped.pk}/change/").content.decode()
    assert f'formaction="../go-on/{how}/"' in page
    assert press(client, stopped, how) == 302
    assert (is_stopped(stopped), Doubt.objects.count()) == (False, doubts)
    event = Event.objects.get(kind=Event.Kind.RECHECKS_RESUMED)
    assert (event.actor_id, event.reason) == (una.pk, reason)
    assert "go-on" not in client.get(f"{LIST}{stopped.pk}/change/").content.decode()


def test_others_see_it_and_cannot_let_it_go_on(stopped: LibrarySystem) -> None:
    for someone in (make_librarian(stopped.institution), make_coordinator()):
        client = sign_in(someone)
        page = client.get(f"{LIST}{stopped.pk}/change/").content.decode()
        assert "until an operator has looked" in page
        assert "go-on" not in page
        assert press(client, stopped, "believe") == 403
    assert is_stopped(stopped)


def test_looking_changes_nothing(stopped: LibrarySystem, una: User) -> None:
    assert sign_in(una).get(f"{LIST}{stopped.pk}/go-on/believe/").status_code == 403
    assert is_stopped(stopped)


def test_another_way_of_going_on_does_not_exist(stopped: LibrarySystem, una: User) -> None:
    assert press(sign_in(una), stopped, "whatever") == 404
    assert is_stopped(stopped)


def test_librarian_sees_the_own_institution_alone(stopped: LibrarySystem) -> None:
    other = make_system(make_institution("gent"))
    client = sign_in(make_librarian(stopped.institution))
    assert list(client.get(LIST).context["cl"].queryset) == [Rechecking.objects.get(pk=stopped.pk)]
    assert client.get(f"{LIST}{other.pk}/change/").status_code == 302


def test_nothing_can_be_changed_by_hand(stopped: LibrarySystem) -> None:
    client = sign_in(User.objects.create_superuser("root@example.test"))
    assert client.post(f"{LIST}{stopped.pk}/change/", {"recheck_days": 1}).status_code == 403
    assert client.get(f"{LIST}add/").status_code == 403
