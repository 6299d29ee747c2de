"""What the tests of merging share: two accounts put together by a coordinator, and everything agrees afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection

from catalog.models import Programme
from enrollment import card_checking, merging
from enrollment.merge_plan import Plan
from enrollment.models import Enrollment, Event, ProviderAccount, SeatPool
from enrollment.reports.audit import audit
from libraries.models import User
from tests.factories import NOW, make_librarian

LATER = NOW + timedelta(hours=1)
ADA, BO, CY = "ada@example.test", "bo@example.test", "cy@example.test"


def enlarge(programme: Programme, cap: int) -> None:
    SeatPool.objects.filter(programme=programme).update(cap=cap)


def confirm(enrollment: Enrollment) -> None:
    lin = User.objects.filter(email="lin@example.test").first() or make_librarian(enrollment.share.institution)
    card_checking.confirm(card_id=enrollment.card_id, by=lin, now=NOW)


def merge(keep: Enrollment | User, other: Enrollment | User, by: User, **more: Any) -> Plan:
    ids = [each.pk if isinstance(each, User) else each.user_id for each in (keep, other)]
    told = {"words": "The same person, seen at the desk.", "now": LATER, **more}
    plan = merging.merge(keep_user_id=ids[0], other_user_id=ids[1], by=by, **told)
    check()
    return plan


def check() -> None:
    """Everything agrees, also what the database looks at only in the end."""
    findings = audit(now=LATER, unanswered_days=100_000)
    assert [(each.check.name, each.rows) for each in findings if not each.holds] == []
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def again(enrollment: Enrollment) -> Enrollment:
    return Enrollment.objects.select_related("card", "share__institution", "user").get(pk=enrollment.pk)


def told(kind: str) -> list[tuple[int | None, int | None, str]]:
    events = Event.objects.filter(kind=kind).order_by("pk")
    return list(events.values_list("enrollment_id", "old_value", "reason"))


def accounts() -> list[tuple[str, bool, bool]]:
    """Whose each is, whether it must be open, and whether the merge made it owed."""
    rows = ProviderAccount.objects.select_related("user").order_by("user__email")
    return [(each.user.email, each.must_be_active, each.due_at == LATER) for each in rows]
