from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from enrollment import roster_uploading
from enrollment.models import Event
from libraries.models import Institution, Roster, RosterEntry
from tests.factories import NOW, make_institution, make_librarian
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
UPLOAD = "/en/admin/libraries/roster/upload/"
GOOD = b"number;valid_until;birth_date\n21000001;2030-12-31;1990-05-18\n;2030-12-31;1990-05-18\n21000002;;1980-01-01\n"


@pytest.fixture
def institution() -> Institution:
    return make_institution(card_check="roster")


@pytest.fixture
def lin(institution: Institution) -> Client:
    return sign_in(make_librarian(institution))


def send(client: Client, institution: Institution, content: bytes = GOOD, **data: Any) -> Any:
    file = SimpleUploadedFile("cards.csv", content, content_type="text/csv")
    return client.post(UPLOAD, {"institution": institution.pk, "file": file, **data}, follow=True)


def test_checking_changes_nothing_and_tells_all(lin: Client, institution: Institution) -> None:
    page = send(lin, institution, only_check="on")
    report = page.context["report"]
    assert (report.lines, report.accepted, report.added, report.removed) == (3, 2, 2, 0)
    assert [(line, str(why)) for line, why in page.context["rejections"]] == [(3, "The card number is missing.")]
    assert (Roster.objects.count(), RosterEntry.objects.count(), Event.objects.count()) == (0, 0, 0)


def test_importing_replaces_the_list_and_is_recorded(lin: Client, institution: Institution) -> None:
    page = send(lin, institution)
    roster = Roster.objects.get()
    assert page.redirect_chain == [(f"/en/admin/libraries/roster/{roster.pk}/change/", 302)]
    assert "The card number is missing." in page.content.decode()
    assert sorted(RosterEntry.objects.values_list("number", flat=True)) == ["21000001", "21000002"]
    event = Event.objects.get()
    assert (event.kind, event.institution_id, event.new_value) == (Event.Kind.ROSTER_IMPORTED, institution.pk, 2)
    assert event.actor_id == roster.imported_by_id


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x01\x02", "This is not a text file. Save the list as “CSV UTF-8”."),
        (
            b"number;valid_until\n21000001;2030-12-31\n2100",
            "The file stops in the middle of line 3. Make the list again.",
        ),
        (b"who;what\n1;2\n", None),
    ],
)
def test_refused_file_says_why_and_changes_nothing(
    lin: Client, institution: Institution, content: bytes, message: str | None
) -> None:
    send(lin, institution)
    before = list(RosterEntry.objects.values_list())
    page = send(lin, institution, content)
    errors = page.context["form"].errors["file"]
    assert errors == ([message] if message else errors)
    assert list(RosterEntry.objects.values_list()) == before
    assert Event.objects.count() == 1


def test_file_that_is_too_big_is_refused(lin: Client, institution: Institution, settings: Any) -> None:
    settings.ROSTER_MAX_BYTES = 50
    assert send(lin, institution).context["form"].errors.keys() == {"file"}
    assert RosterEntry.objects.count() == 0


def test_file_that_does_not_stay_in_memory_is_read(lin: Client, institution: Institution, settings: Any) -> None:
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 10
    send(lin, institution)
    assert RosterEntry.objects.count() == 2


def test_empty_file_is_refused(lin: Client, institution: Institution) -> None:
    assert send(lin, institution, b"").context["form"].errors.keys() == {"file"}


def test_foreign_institution_is_no_choice(lin: Client) -> None:
    page = send(lin, make_institution("halle"))
    assert page.context["form"].errors.keys() == {"institution"}
    assert RosterEntry.objects.count() == 0


def test_upload_itself_asks_whose_list_it_is(institution: Institution) -> None:
    lin = make_librarian(make_institution("halle"), "li@example.test")
    with pytest.raises(roster_uploading.NotYours):
        roster_uploading.upload(institution=institution, source=BytesIO(GOOD), by=lin, now=NOW, dry_run=False)
    assert Roster.objects.count() == 0
