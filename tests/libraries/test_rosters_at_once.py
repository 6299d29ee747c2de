"""Several imports at the same moment."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import IntegrityError, connection, transaction

from libraries import rosters
from libraries.models import Institution, Roster
from libraries.rosters import Report, RosterRefused
from tests.libraries.test_rosters import TWO, load, numbers, on_list


def in_thread(institution: Institution, text: str, outcomes: list[object]) -> threading.Thread:
    def run() -> None:
        try:
            outcomes.append(load(institution, text))
        except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
            outcomes.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# In this database: tests of another process wait in theirs.
WAITING = (
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = current_database()"
)


def wait_until_one_waits(seconds: float = 10) -> None:
    """Until some connection waits for a lock."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            if cursor.fetchone() != (0,):
                return
        time.sleep(0.02)
    raise AssertionError("nobody waits")


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_imports_for_one_institution_follow_each_other(institution: Institution, other: Institution) -> None:
    load(institution, numbers(range(10)))
    outcomes: list[object] = []
    with transaction.atomic():
        load(institution, numbers(range(5, 15)))
        second = in_thread(institution, numbers(range(8, 20)), outcomes)
        wait_until_one_waits()
        assert outcomes == []
        assert load(other, TWO).accepted == 2
    second.join(timeout=20)
    assert [report.added for report in outcomes if isinstance(report, Report)] == [5]
    assert on_list(institution) == [(str(2100_0000 + value), None) for value in range(8, 20)]


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_imports_without_their_turn_would_collide(institution: Institution, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the lock is for: the same two imports without it."""
    monkeypatch.setattr(rosters, "_take_turn", lambda *_: None)
    outcomes: list[object] = []
    with transaction.atomic():
        load(institution, numbers(range(5, 15)))
        second = in_thread(institution, numbers(range(8, 20)), outcomes)
        wait_until_one_waits()
    second.join(timeout=20)
    assert [type(outcome) for outcome in outcomes] == [IntegrityError]


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_import_that_waits_too_long_is_refused(institution: Institution, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rosters, "LOCK_TIMEOUT", "100ms")
    outcomes: list[object] = []
    with transaction.atomic():
        load(institution, TWO)
        in_thread(institution, TWO, outcomes).join(timeout=20)
    assert [outcome.code for outcome in outcomes if isinstance(outcome, RosterRefused)] == ["busy"]
    assert Roster.objects.count() == 1


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_many_imports_at_once_end_with_one_whole_list(institution: Institution) -> None:
    outcomes: list[object] = []
    lists = [range(300), range(100, 400), range(200, 500), range(300, 600)]
    threads = [in_thread(institution, numbers(values), outcomes) for values in lists]
    for thread in threads:
        thread.join(timeout=30)
    assert [outcome for outcome in outcomes if not isinstance(outcome, Report)] == []
    left = [int(number) - 2100_0000 for number, _ in on_list(institution)]
    assert left in [list(values) for values in lists]
    assert Roster.objects.count() == 4
