"""Where those who follow providers read what a provider told: nobody's name, and nothing to change."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from enrollment.admin.notices import OUTCOMES
from enrollment.models import ProviderNotice
from enrollment.noticing import Outcome
from libraries.models import StaffRole, User
from tests.factories import NOW, make_coordinator, make_librarian, make_provider, make_staff
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db

LIST = "/en/admin/enrollment/providernotice/"


def make_notice(number: str = "msg_1", **fields: object) -> ProviderNotice:
    told = {"kind": "progress", "course_code": "ST-1001", "percent": 25, "external_id": uuid4(), **fields}
    at = {"received_at": NOW, "occurred_at": NOW - timedelta(seconds=2)}
    return ProviderNotice.objects.create(provider=make_provider(), notice_id=number, **at, **told)


def test_notices_are_listed_with_what_came_of_them() -> None:
    make_notice(outcome=Outcome.USED)
    make_notice("msg_2", kind="account.closed", outcome="from a later version")
    for someone in (make_coordinator(), make_staff("ops@example.test", StaffRole.Role.OPERATOR)):
        page = sign_in(someone).get(LIST).content.decode()
        assert [text in page for text in ("ST-1001", "the place counts as used from then on", "account closed")] == [
            True,
            True,
            True,
        ]
        assert "from a later version" in page


def test_page_of_a_notice_shows_its_ids() -> None:
    notice = make_notice()
    page = sign_in(make_coordinator()).get(f"{LIST}{notice.pk}/change/").content.decode()
    assert [text in page for text in ("msg_1", str(notice.external_id), "not worked on yet")] == [True] * 3


def test_list_asks_the_database_as_often_for_many() -> None:
    client = sign_in(make_coordinator())
    make_notice()
    counts = []
    for number in range(2):
        with CaptureQueriesContext(connection) as queries:
            assert client.get(LIST).status_code == 200
        counts.append(len(queries))
        for each in range(10):
            make_notice(f"msg_{number}_{each}")
    assert counts[0] == counts[1]


def test_librarians_see_none_and_nobody_changes_one() -> None:
    notice = make_notice()
    assert sign_in(make_librarian()).get(LIST).status_code == 403
    root = sign_in(User.objects.create_superuser("root@example.test"))
    assert root.post(f"{LIST}{notice.pk}/change/", {"outcome": "used"}).status_code == 403
    assert [root.get(f"{LIST}{page}").status_code for page in ("add/", f"{notice.pk}/delete/")] == [403, 403]


def test_every_outcome_has_words() -> None:
    assert set(OUTCOMES) == {*Outcome, ""}
