"""Whatever 64 connections ask for at once: nothing is lost, doubled, over the cap, passed over or stuck. And each guard
is needed: without it, the same rush is found out.

A few hundred operations, asked for in the same way in every run. For more, and others each time: RUSH_OPERATIONS=10000,
and RUSH_SEED=… to ask in the same way again; a failure prints the seed and where the history is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction

from enrollment import applying, ending, rivalry, seats
from enrollment.models import Enrollment, SeatPool
from libraries import membership
from tests.concurrency import rush, rush_checker
from tests.concurrency.rush_clients import World, make_world
from tests.concurrency.rush_findings import Finding, Kind

pytestmark = [pytest.mark.concurrency, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

OPERATIONS = int(os.environ.get("RUSH_OPERATIONS", "192"))
SEED = int(os.environ.get("RUSH_SEED") or (Random().randrange(10**6) if "RUSH_OPERATIONS" in os.environ else 1))


def rushed(world: World, tmp_path: Path, *, seed: int = 1, **more: int) -> list[Finding]:
    path = tmp_path / f"rush-{seed}.jsonl"
    now = rush.run(world, seed=seed, path=path, **more)
    return rush_checker.check(path, now=now)


def test_nothing_is_lost_doubled_over_the_cap_passed_over_or_stuck(tmp_path: Path) -> None:
    found = rushed(make_world(people=120, cap=30), tmp_path, seed=SEED, operations=OPERATIONS)
    assert found == [], f"RUSH_SEED={SEED} RUSH_OPERATIONS={OPERATIONS}, history in {tmp_path}"


# --- Without each of the guards ---


@contextmanager
def without_pool_lock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Pools are read, and there is time for others before anything is done with them."""

    def unlocked(pool_ids: Any) -> dict[int, SeatPool]:
        pools = {pk: SeatPool.objects.select_related("programme").get(pk=pk) for pk in sorted(set(pool_ids))}
        time.sleep(0.01)
        return pools

    monkeypatch.setattr(seats, "lock_all", unlocked)
    monkeypatch.setattr(seats, "_TRIES", 1)
    yield


@contextmanager
def without_condition(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is ended was read before the locks, and not again."""
    lock = ending._lock

    def stale(enrollment_id: int) -> tuple[rivalry.Pools, Enrollment]:
        before = Enrollment.objects.select_related("share").get(pk=enrollment_id)
        time.sleep(0.2)
        return lock(enrollment_id)[0], before

    monkeypatch.setattr(ending, "_lock", stale)
    yield


@contextmanager
def without_looking_for_applications(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(applying, "_open_application", lambda user, pool: None)
    monkeypatch.setattr(seats, "_TRIES", 1)
    yield


@contextmanager
def without_looking_for_claims(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody sees that a card number is claimed already."""
    monkeypatch.setattr(membership, "open_cards", lambda institution_id, number: [])
    yield


@contextmanager
def without_commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Some of what was decided is forgotten, after the answer was given."""

    dice = Random(1)

    @contextmanager
    def forgetful() -> Iterator[None]:
        with transaction.atomic():
            yield
            if dice.random() < 0.2:
                transaction.set_rollback(True)

    monkeypatch.setattr(seats, "transaction", SimpleNamespace(atomic=forgetful))
    yield


@contextmanager
def without_order(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of the next in each share, the last to come is the first."""
    in_turn = "within_floor DESC, priority, applied_at, id"
    assert in_turn in seats._GIVE
    monkeypatch.setattr(seats, "_GIVE", seats._GIVE.replace(in_turn, "within_floor DESC, id DESC"))
    yield


def dropped(name: str) -> Callable[[pytest.MonkeyPatch], Any]:
    """Something of the database by its name, put back as it was once all that breaks it is gone."""

    @contextmanager
    def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        drop, restore = _ways(name)
        with connection.cursor() as cursor:
            cursor.execute(drop)
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("TRUNCATE enrollment_seatpool, libraries_card CASCADE")
                cursor.execute(restore)

    return without


def _ways(name: str) -> tuple[str, str]:
    """To drop it, and to put it back: a constraint, or an index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name]
        )
        if row := cursor.fetchone():
            return (
                f"ALTER TABLE {row[0]} DROP CONSTRAINT {name}",
                f"ALTER TABLE {row[0]} ADD CONSTRAINT {name} {row[1]}",
            )
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [name])
        return f"DROP INDEX {name}", cursor.fetchone()[0]


# What is missing, and what is found then. What the database repeats is first missed in the code: alone, it is caught by
# the database, which lets the operation break.
ONCE = [dropped("enrollment_open_once_per_person"), dropped("enrollment_open_once_per_card")]
ONE_NUMBER = [dropped("card_number_claimed_once"), dropped("card_open_once_per_person")]
MUTANTS: dict[str, tuple[list[Any], Kind]] = {
    "pool lock": ([without_pool_lock], Kind.STUCK),
    "pool lock, check on the cap": ([without_pool_lock, dropped("pool_taken_within_cap")], Kind.OVER_CAP),
    "conditional transition": ([without_condition], Kind.DOUBLED),
    "look for an application": ([without_looking_for_applications], Kind.STUCK),
    "look for an application, unique indexes": ([without_looking_for_applications, *ONCE], Kind.DOUBLED),
    "look for claims, unique indexes": ([without_looking_for_claims, *ONE_NUMBER], Kind.DOUBLED),
    "commit": ([without_commits], Kind.LOST),
    "queue order": ([without_order], Kind.PASSED_OVER),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_without_a_guard_the_rush_is_found_out(mutant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (guards, kind), world = MUTANTS[mutant], make_world(people=12, cap=3)
    with ExitStack() as stack:
        for without in guards:
            stack.enter_context(without(monkeypatch))
        # Whether somebody is passed over by chance too hangs on who asks when: it takes more steps.
        operations = 384 if kind is Kind.PASSED_OVER else 96
        found = rush_checker.kinds(rushed(world, tmp_path, clients=32, operations=operations))
    assert found[kind] > 0
