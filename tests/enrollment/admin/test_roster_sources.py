"""Where operators say from where a list of cards is fetched, and take one after all that was stopped."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from enrollment import roster_fetching, tasks
from enrollment.models import Event
from libraries.models import Institution, RosterSource, StaffRole, User
from tests.factories import NOW, make_coordinator, make_institution, make_librarian, make_staff
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

LIST = "/en/admin/libraries/rostersource/"
FINGERPRINT = "a" * 64


@pytest.fixture
def institution() -> Institution:
    return make_institution(card_check="roster")


@pytest.fixture
def una() -> Client:
    return sign_in(make_staff("una@example.test", StaffRole.Role.OPERATOR))


@pytest.fixture
def stopped(institution: Institution) -> RosterSource:
    return RosterSource.objects.create(
        institution=institution, trouble="not_utf8:17", stopped_at=NOW, stopped_fingerprint=FINGERPRINT
    )


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    rung: list[str] = []
    monkeypatch.setattr(tasks, "ring_for_rosters", lambda: rung.append("rosters"))
    return rung


def filled(institution: Institution, **fields: Any) -> dict[str, Any]:
    download = {
        "way": "download",
        "address": "https://lists.example/cards.csv",
        "login": "me",
        "secret_name": "LIST_KEY",
    }
    return {"institution": institution.pk, **download, **fields}


def test_operator_sets_a_source(institution: Institution, una: Client) -> None:
    assert una.post(f"{LIST}add/", filled(institution)).status_code == 302
    source = RosterSource.objects.get()
    assert (source.institution, source.way, source.secret_name) == (institution, "download", "LIST_KEY")
    event = Event.objects.get()
    assert (event.kind, event.reason, event.institution_id) == ("system_changed", "roster_source", institution.pk)


def test_saving_itself_asks_who_does_it(institution: Institution) -> None:
    for someone in (make_librarian(institution), make_coordinator()):
        with pytest.raises(roster_fetching.NotYours):
            roster_fetching.save(RosterSource(institution=institution), by=someone, now=NOW)
    assert (RosterSource.objects.count(), Event.objects.count()) == (0, 0)


@pytest.mark.parametrize("name", ["lower", "SECRET_KEY", "DATABASE_URL", "OIDC_UITID_CLIENT_SECRET"])
def test_secrets_of_the_portal_are_not_sent_to_a_source(name: str, institution: Institution, una: Client) -> None:
    page = una.post(f"{LIST}add/", filled(institution, secret_name=name))
    assert set(page.context["adminform"].form.errors) == {"secret_name"}
    assert not RosterSource.objects.exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://10.0.0.5/cards.csv", "The portal may not connect to this address."),
        ("https://169.254.169.254/", "The portal may not connect to this address."),
        ("https://lists.example/cards.csv?key=word", "Write the address without ? and # and what follows them."),
    ],
)
def test_address_that_may_not_be_asked_is_refused_when_it_is_saved(
    address: str, words: str, institution: Institution, una: Client, settings: Settings
) -> None:
    settings.ALLOW_PRIVATE_ADDRESSES = False
    page = una.post(f"{LIST}add/", filled(institution, address=address))
    assert page.context["adminform"].form.errors == {"address": [words]}


@pytest.mark.parametrize(
    "address",
    ["", "http://lists.example/cards.csv", "https://me:word@lists.example/", "https://", "https://[x", "file:///etc"],
)
def test_address_has_to_be_one_without_a_password(address: str, institution: Institution, una: Client) -> None:
    page = una.post(f"{LIST}add/", filled(institution, address=address))
    assert "Write an address that begins with https://" in page.content.decode()
    assert not RosterSource.objects.exists()


def test_changing_it_keeps_what_was_noted(stopped: RosterSource, una: Client) -> None:
    una.post(f"{LIST}{stopped.pk}/change/", {"way": "folder", "address": "", "login": "you", "secret_name": ""})
    after = RosterSource.objects.get()
    assert (after.login, after.trouble, after.stopped_at) == ("you", "not_utf8:17", NOW)


def test_page_says_what_went_wrong(stopped: RosterSource, una: Client) -> None:
    page = una.get(f"{LIST}{stopped.pk}/change/").content.decode()
    assert "Line 17 is not UTF-8 text." in page
    assert "is not taken. The list before stays in force." in page


def test_operator_takes_the_list_after_all(stopped: RosterSource, una: Client, rung: list[str]) -> None:
    assert una.post(f"{LIST}{stopped.pk}/allow/").status_code == 302
    after = RosterSource.objects.get()
    assert (after.stopped_at, after.allowed_fingerprint, rung) == (None, FINGERPRINT, ["rosters"])
    assert Event.objects.get().kind == Event.Kind.ROSTER_ALLOWED
    una.post(f"{LIST}{stopped.pk}/allow/")
    assert (Event.objects.count(), rung) == (1, ["rosters"])


def test_others_see_it_and_change_nothing(stopped: RosterSource) -> None:
    for someone in (make_librarian(stopped.institution), make_coordinator()):
        client = sign_in(someone)
        page = client.get(f"{LIST}{stopped.pk}/change/").content.decode()
        assert "is not taken. The list before stays in force." in page
        assert "../allow/" not in page
        assert client.post(f"{LIST}{stopped.pk}/allow/").status_code == 403
        assert client.post(f"{LIST}{stopped.pk}/change/", {"way": "folder"}).status_code == 403
        assert client.get(f"{LIST}add/").status_code == 403


def test_librarian_sees_the_own_institution_alone(stopped: RosterSource) -> None:
    other = RosterSource.objects.create(institution=make_institution("gent"))
    client = sign_in(make_librarian(stopped.institution))
    assert list(client.get(LIST).context["cl"].queryset) == [stopped]
    assert client.get(f"{LIST}{other.pk}/change/").status_code == 302


def test_looking_takes_nothing(stopped: RosterSource, una: Client) -> None:
    assert una.get(f"{LIST}{stopped.pk}/allow/").status_code == 403
    assert una.post(f"{LIST}{stopped.pk + 1}/allow/").status_code == 404
    assert RosterSource.objects.get().stopped_at == NOW


def test_superuser_does_as_an_operator(stopped: RosterSource) -> None:
    client = sign_in(User.objects.create_superuser("root@example.test"))
    assert client.post(f"{LIST}{stopped.pk}/allow/").status_code == 302
