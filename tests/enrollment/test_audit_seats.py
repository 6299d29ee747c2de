"""Each rule is broken behind the application's back, and the audit names the row."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.utils import timezone

from enrollment import card_checking, ending
from enrollment.models import Enrollment, Erasure, Event, ProviderAccount, QueueStretch, SeatPool, Share
from enrollment.reports.audit import CHECKS, IN_VAIN, MOST_NAMED, audit
from libraries.models import Card
from tests.factories import (
    make_coordinator,
    make_institution,
    make_librarian,
    make_library,
    make_member,
    make_programme,
)
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ada() -> Enrollment:
    """She has a place; Bo has one held; Cy waits."""
    make_library()
    programme = make_programme(cap=2)
    ada, _bo, _cy = (make_member(f"{name}@example.test", programme=programme) for name in ("ada", "bo", "cy"))
    card_checking.confirm(card_id=ada.card_id, by=make_librarian(), now=timezone.now())
    ada.refresh_from_db()
    return ada


def broken() -> dict[str, list[int]]:
    return {each.check.name: list(each.rows) for each in audit(now=timezone.now()) if not each.holds}


def of(name: str) -> Enrollment:
    return Enrollment.objects.get(user__email=f"{name}@example.test")


def share() -> Share:
    return Share.objects.get()


def test_everything_agrees_at_first() -> None:
    assert broken() == {}


def test_decisions_count_in_the_order_they_were_made_whatever_time_they_tell(ada: Enrollment) -> None:
    """Ada clicked a moment before the librarian, whose decision came first."""
    assert ada.seated_at is not None
    ending.give_back(enrollment_id=ada.pk, by=ada.user, now=ada.seated_at - timedelta(milliseconds=1))
    assert broken() == {}


def overdue() -> dict[str, list[int]]:
    Enrollment.objects.filter(pk=of("bo").pk).update(hold_until=timezone.now() - timedelta(hours=1))
    return {"holds_end": [of("bo").pk]}


def term_over(ada: str = "ada") -> dict[str, list[int]]:
    Enrollment.objects.filter(pk=of(ada).pk).update(ends_at=timezone.now() - timedelta(hours=1))
    return {"terms_end": [of(ada).pk]}


def wrong_counts() -> dict[str, list[int]]:
    SeatPool.objects.update(taken=1)
    Share.objects.update(taken=0)
    # with one place too few counted, Cy could have one
    return {
        "pool_count": [share().pool_id],
        "share_count": [share().pk],
        "nobody_waits_in_vain": [share().pk],
    }


def wrong_queue() -> dict[str, list[int]]:
    QueueStretch.objects.update(people=7)
    return {"queue_count": [share().pool_id]}


def wrong_floors() -> dict[str, list[int]]:
    SeatPool.objects.update(floors=1)
    return {"floors_sum": [share().pool_id]}


def waits_in_vain() -> dict[str, list[int]]:
    SeatPool.objects.update(cap=3)
    return {"nobody_waits_in_vain": [share().pk]}


def passed_over() -> dict[str, list[int]]:
    Card.objects.filter(pk=of("cy").card_id).update(
        state="confirmed", decided_at=timezone.now() + timedelta(hours=1), decided_how="by_hand"
    )
    Enrollment.objects.filter(pk=of("cy").pk).update(passed_over=True)
    return {"confirmed_not_passed_over": [of("cy").pk]}


def no_account() -> dict[str, list[int]]:
    ProviderAccount.objects.all().delete()
    return {"seats_have_accounts": [of("ada").pk]}


def no_seat() -> dict[str, list[int]]:
    account = ProviderAccount.objects.create(
        user=of("cy").user, provider=of("cy").pool.programme.provider, must_be_active=True
    )
    return {"accounts_have_seats": [account.pk]}


def unanswered() -> dict[str, list[int]]:
    Enrollment.objects.filter(pk=of("bo").pk).update(applied_at=timezone.now() - timedelta(days=40))
    return {"applications_answered": [of("bo").pk]}


def new_card_unanswered() -> dict[str, list[int]]:
    ada = of("ada")
    long_ago = timezone.now() - timedelta(days=40)
    new = Card.objects.create(
        user=ada.user, library=ada.card.library, institution=ada.card.institution, number="21007", claimed_at=long_ago
    )
    Enrollment.objects.filter(pk=ada.pk).update(next_card=new)
    return {"applications_answered": [ada.pk]}


def counted_elsewhere() -> dict[str, list[int]]:
    """Cy waits, and so should count at the institution of the card at once."""
    there = Share.objects.create(pool=share().pool, institution=make_institution("halle"))
    Enrollment.objects.filter(pk=of("cy").pk).update(share=there)
    return {"counted_at_home": [of("cy").pk]}


def no_event() -> dict[str, list[int]]:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL leerkaart.retention = 'on'")
        Event.objects.filter(enrollment_id=of("bo").pk, kind="seat_held").delete()
    return {"events_agree": [of("bo").pk]}


def erasure_that_waits() -> dict[str, list[int]]:
    asked = timezone.now() - timedelta(days=2)
    unlisted = Erasure.objects.create(user_id=1, code="a", asked_at=asked, erased_here_at=asked)
    unerased = Erasure.objects.create(user_id=2, code="b", asked_at=asked, listed_at=asked)
    Erasure.objects.create(user_id=3, code="c", asked_at=timezone.now())
    return {"erasures_go_on": [unlisted.pk, unerased.pk]}


BREAKS = (
    overdue,
    term_over,
    wrong_counts,
    wrong_queue,
    wrong_floors,
    waits_in_vain,
    passed_over,
    no_account,
    no_seat,
    unanswered,
    new_card_unanswered,
    counted_elsewhere,
    no_event,
    erasure_that_waits,
)


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda each: each.__name__)
def test_what_is_broken_is_named(break_it: Callable[[], dict[str, list[int]]]) -> None:
    expected = break_it()
    assert broken() == expected


@pytest.mark.parametrize(
    ("constraint", "table", "change", "check"),
    [
        ("pool_taken_within_cap", "enrollment_seatpool", "cap = 1", "cap_kept"),
        ("share_within_ceiling", "enrollment_share", "ceiling = 1", "ceiling_kept"),
    ],
)
def test_what_the_database_forbids_is_checked_too(constraint: str, table: str, change: str, check: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        cursor.execute(f"UPDATE {table} SET {change}")
    assert check in broken()


def test_every_check_has_a_test_that_breaks_it() -> None:
    tested = {"cap_kept", "ceiling_kept"}
    for break_it in BREAKS:
        tested |= break_it().keys()
    assert tested == {check.name for check in (*CHECKS, IN_VAIN)}


def run(*arguments: str) -> tuple[int, str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("audit_seats", *arguments, stdout=out, stderr=err)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def test_command_ends_with_0_when_all_holds() -> None:
    status, out, _err = run()
    assert (status, out.count("ok  "), "NOT" in out) == (0, len(CHECKS) + 1, False)


def test_command_names_what_is_broken_and_ends_with_1() -> None:
    overdue()
    status, out, _err = run()
    assert status == 1
    assert f"NOT  holds_end: No place is held beyond its date.\n     enrollment {of('bo').pk}\n" in out
    status, out, _err = run("--json")
    told: dict[str, Any] = json.loads(out)
    [finding] = [check for check in told["checks"] if not check["holds"]]
    assert (status, told["holds"], finding["count"], finding["ids"]) == (1, False, 1, [of("bo").pk])


def test_unanswered_days_can_be_chosen() -> None:
    unanswered()
    assert [run("--unanswered-days", days)[0] for days in ("39", "41")] == [1, 0]


def test_repair_counts_again_after_saying_what_changes() -> None:
    wrong_counts()
    wrong_floors()
    wrong_queue()
    status, out, err = run("--repair")
    pool = SeatPool.objects.get()
    assert (status, pool.taken, pool.floors, share().taken) == (0, 2, 0, 2)
    assert err.splitlines() == [
        f"plan: share {share().pk}: taken from 0 to 2",
        f"plan: seatpool {pool.pk}: taken from 1 to 2",
        f"plan: seatpool {pool.pk}: floors from 1 to 0",
        f"plan: seatpool {pool.pk}: in line from 7 to 1",
        f"done: share {share().pk}: taken from 0 to 2",
        f"done: seatpool {pool.pk}: taken from 1 to 2",
        f"done: seatpool {pool.pk}: floors from 1 to 0",
        f"done: seatpool {pool.pk}: in line from 7 to 1",
    ]
    assert Event.objects.filter(kind="recounted").count() == 4
    assert "NOT" not in out


def test_repair_touches_nothing_but_counters() -> None:
    overdue()
    before = list(Enrollment.objects.values())
    assert run("--repair")[0] == 1
    assert list(Enrollment.objects.values()) == before


@pytest.mark.django_db(transaction=True)
def test_repair_does_not_pass_the_cap() -> None:
    SeatPool.objects.update(taken=1)
    SeatPool.objects.update(cap=1)
    with pytest.raises(IntegrityError):
        run("--repair")
    assert SeatPool.objects.get().taken == 1


def test_of_many_rows_only_some_are_named() -> None:
    findings = audit(now=timezone.now())
    assert all(len(each.named) <= MOST_NAMED for each in findings)


def test_coordinator_sees_what_does_not_hold_on_the_first_page() -> None:
    mo = sign_in(make_coordinator())
    page = mo.get("/en/admin/").content.decode()
    assert "all hold." in page
    overdue()
    page = mo.get("/en/admin/").content.decode()
    assert "No place is held beyond its date." in page


def test_librarian_sees_no_rows_of_others() -> None:
    overdue()
    lin = make_librarian(email="li@example.test")
    assert "No place is held beyond its date." not in sign_in(lin).get("/en/admin/").content.decode()
