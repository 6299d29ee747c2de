"""The report of priority in the workplace: for everybody there, each within what they may see."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from enrollment import prioritizing
from enrollment.models import Enrollment
from libraries.models import StaffRole, User
from tests.factories import (
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
    make_staff,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db
PAGE = "/en/admin/enrollment/enrollment/priorities/"


@pytest.fixture
def mo() -> User:
    return make_coordinator()


@pytest.fixture
def given(mo: User) -> list[Enrollment]:
    """Ada of Antwerp and Cy of Halle have priority."""
    libraries = [make_library(slug, make_institution(slug)) for slug in ("antwerpen", "halle")]
    programme = make_programme(cap=0)
    rows = []
    for name, library in zip(("ada", "cy"), libraries, strict=True):
        row = make_member(f"{name}@example.test", programme=programme, library=library)
        words = f"=For {name}"
        reason = prioritizing.Reason.FOR_WORK
        prioritizing.give(enrollment_id=row.pk, reason=reason, words=words, by=mo, now=timezone.now())
        rows.append(row)
    return rows


def test_coordinator_sees_all_with_totals_and_gets_to_it_from_the_list(given: list[Enrollment], mo: User) -> None:
    client = sign_in(mo)
    assert f'href="{PAGE}"' in client.get("/en/admin/enrollment/enrollment/").content.decode()
    page = client.get(PAGE)
    assert [line.application for line in page.context["found"]] == [given[1].pk, given[0].pk]
    assert [(total.institution, total.count) for total in page.context["totals"]] == [("Antwerpen", 1), ("Halle", 1)]
    assert "=For ada" in page.content.decode()


def test_librarian_sees_only_theirs_also_in_the_file(given: list[Enrollment]) -> None:
    client = sign_in(make_librarian())
    page = client.get(PAGE)
    assert [line.application for line in page.context["found"]] == [given[0].pk]
    assert "For cy" not in page.content.decode()
    file = client.get(f"{PAGE}file/")
    assert file["Content-Type"] == "text/csv; charset=utf-8"
    assert file["Content-Disposition"].startswith('attachment; filename="priority-')
    text = file.content.decode("utf-8-sig")
    assert ("'=For ada" in text, "For cy" in text, "Halle" in text) == (True, False, False)


@pytest.mark.parametrize("role", [StaffRole.Role.AUDITOR, StaffRole.Role.OPERATOR])
def test_auditors_and_operators_see_all(given: list[Enrollment], role: str) -> None:
    assert len(sign_in(make_staff("au@example.test", role)).get(PAGE).context["found"]) == 2


@pytest.mark.parametrize("address", [PAGE, f"{PAGE}file/"])
def test_nobody_else_comes_in(given: list[Enrollment], address: str) -> None:
    client = sign_in(make_staff("no@example.test", StaffRole.Role.AUDITOR))
    StaffRole.objects.filter(user__email="no@example.test").delete()
    assert client.get(address).status_code in (302, 403)


def test_period_can_be_chosen(given: list[Enrollment], mo: User) -> None:
    client, today = sign_in(mo), timezone.localdate()
    assert len(client.get(PAGE, {"since": str(today), "until": str(today)}).context["found"]) == 2
    before = str(today - timedelta(days=1))
    page = client.get(PAGE, {"since": before, "until": before})
    assert page.context["found"] == []
    assert "Nobody had priority in these days." in page.content.decode()


BAD = [
    ({"since": "soon", "until": "2026-07-01"}, {"since"}),
    ({"since": "2026-07-01"}, {"until"}),
    ({"since": "0001-01-01", "until": "9999-12-31"}, {"since", "until"}),
    ({"since": "2026-07-02", "until": "2026-07-01"}, {"until"}),
    ({"since": "2026-07-01", "until": "2026-07-02", "programme": "1 OR 1"}, {"programme"}),
    ({"since": "2026-07-01\x00", "until": ""}, {"since", "until"}),
]


@pytest.mark.parametrize(("told", "wrong"), BAD)
@pytest.mark.parametrize("address", [PAGE, f"{PAGE}file/"])
def test_what_is_no_period_is_told(
    given: list[Enrollment], mo: User, address: str, told: dict[str, str], wrong: set[str]
) -> None:
    page = sign_in(mo).get(address, told)
    assert (page.status_code, set(page.context["form"].errors), page.context["found"]) == (200, wrong, [])
