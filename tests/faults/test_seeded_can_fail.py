"""Each guard of provisioning is needed: without it, the same seeded runs are found out, each by what it is for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from catalog import line
from catalog.provider.scim import ScimClient
from enrollment import agreeing, outcomes, provisioning
from enrollment.models import ProviderAccount
from enrollment.models.provider_account import ProviderAccountQuerySet
from tests.faults.seeded import Run
from tests.faults.seeded_checker import Kind, kinds
from tests.faults.seeded_world import Stage

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

MOST_RUNS = 40
Patch = pytest.MonkeyPatch


def without_limiter(patch: Patch) -> None:
    @contextmanager
    def at_once(provider_id: int, *, expires: float, writes: bool = False) -> Iterator[None]:
        yield

    patch.setattr(line, "turn", at_once)


def without_leases_that_end(patch: Patch) -> None:
    """Who was killed is not followed by anybody for hours."""
    patch.setattr(provisioning, "LEASE", timedelta(hours=3))


def without_versions(patch: Patch) -> None:
    """What was owed meanwhile is settled with what was owed before."""
    publish = ProviderAccountQuerySet.publish

    def whatever_is_owed(self: Any, row: ProviderAccount, **outcome: Any) -> bool:
        row.version = ProviderAccount.objects.get(pk=row.pk).version
        return publish(self, row, **outcome)

    patch.setattr(ProviderAccountQuerySet, "publish", whatever_is_owed)


def without_fencing(patch: Patch) -> None:
    """Whoever comes late writes what it saw."""
    publish = ProviderAccountQuerySet.publish

    def mine(self: Any, row: ProviderAccount, **outcome: Any) -> bool:
        now = ProviderAccount.objects.get(pk=row.pk)
        row.lease_token, row.version = now.lease_token, now.version
        return publish(self, row, **outcome) or bool(self.filter(pk=row.pk).update(**outcome))

    patch.setattr(ProviderAccountQuerySet, "publish", mine)


def without_unclear(patch: Patch) -> None:
    """What may have happened counts as refused."""

    def failed(account: ProviderAccount, error: Any, *, now: datetime) -> None:
        outcomes.publish_stuck(account, error.code, now=now)

    patch.setattr(outcomes, "publish_trouble", failed)


def without_confirmation(patch: Patch) -> None:
    """The member is told when the provider was asked."""
    publish = outcomes.publish_trouble

    def told(account: ProviderAccount, error: Any, *, now: datetime) -> None:
        if account.must_be_active:
            outcomes.tell_ready(account, now=now)
        publish(account, error, now=now)

    patch.setattr(outcomes, "publish_trouble", told)


def without_own_ids(patch: Patch) -> None:
    """Nobody looks for what an earlier attempt may have made."""
    patch.setattr(ScimClient, "find", lambda self, external_id: None)


def without_confirmed_erasure(patch: Patch) -> None:
    patch.setattr(agreeing, "_erase", lambda client, seen, task: None)


def without_sweeps_for_changes(patch: Patch) -> None:
    patch.setattr(agreeing, "owe_changes", lambda *, now: 0)


MUTANTS: dict[Callable[[Patch], None], set[Kind]] = {
    without_limiter: {Kind.OVER_LIMIT},
    without_leases_that_end: {Kind.STUCK},
    without_versions: {Kind.LEFT_OPEN, Kind.CLOSED_WRONGLY, Kind.LOST},
    without_fencing: {Kind.LEFT_OPEN, Kind.CLOSED_WRONGLY, Kind.LOST},
    without_unclear: {Kind.STUCK},
    without_confirmation: {Kind.TOLD_EARLY},
    without_own_ids: {Kind.DOUBLED, Kind.LOST, Kind.LEFT_OPEN},
    without_confirmed_erasure: {Kind.LEFT_OPEN},
    without_sweeps_for_changes: {Kind.OUTDATED},
}


@pytest.mark.parametrize("without", MUTANTS, ids=lambda without: without.__name__)
def test_without_a_guard_the_runs_are_found_out(
    seeded_stage: Stage, without: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch)
    for seed in range(MOST_RUNS):  # of one person, whom everything befalls
        if found := kinds(Run(seeded_stage, seed, people=1, stalls=8).live()):
            print(f"{without.__name__}: seed {seed} finds {dict(found)}")
            assert set(found) & MUTANTS[without]
            return
    pytest.fail(f"{MOST_RUNS} runs, and nothing is found")
