"""The broker goes while somebody waits for a page: killed, emptied, or silent from one moment to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import redis
import requests
from django.db import connection, transaction
from django.utils import timezone

from catalog.models import Programme, Provider
from enrollment.models import Enrollment, ProviderNotice, SeatPool
from tests.faults.stage import NOTICES, Stage, go_on, stall, until
from tests.faults.test_portal_without_broker import AT_MOST, joining, tell, web

pytestmark = pytest.mark.faults


def killed(stage: Stage) -> None:
    stage.broker.kill()


def flushed(stage: Stage) -> None:
    with redis.Redis.from_url(stage.broker.url) as broker:
        broker.flushall()


def silent(stage: Stage) -> None:
    """Connections stay, new ones are taken, and nothing is ever answered: a black hole."""
    stall(stage.broker)


BACK: dict[Callable[[Stage], None], Callable[[Stage], None]] = {
    killed: lambda stage: stage.broker.start(),
    flushed: lambda stage: None,
    silent: lambda stage: go_on(stage.broker),
}


@pytest.mark.parametrize("happens", BACK, ids=lambda each: each.__name__)
def test_requests_under_way_are_answered_and_nothing_is_lost(
    stage: Stage, programme: Programme, happens: Callable[[Stage], None]
) -> None:
    site = web(stage, broker_url=stage.broker.url, threads=4)
    joining(site, 0)()  # the bell has a connection to the broker now
    until(lambda: rung(stage))
    join = joining(site, 1)
    with ThreadPoolExecutor(2) as several:
        with held_up(programme):
            waiting = [several.submit(join), several.submit(tell, site, within=30.0)]
            until(lambda: blocked() == 2)
            happens(stage)
        released = time.monotonic()
        for each in waiting:
            each.result(timeout=30)
        assert time.monotonic() - released < AT_MOST
    for number in (2, 3):
        joining(site, number)()
        tell(site, number=f"msg_{number}")
    assert requests.get(f"{site}/readyz", timeout=AT_MOST).status_code == 200
    BACK[happens](stage)
    assert Enrollment.objects.filter(state=Enrollment.State.SEATED).count() == 4
    stage.worker()
    stage.settle()
    stage.check_all_done(accepted=4)
    stage.sweep(NOTICES)
    until(lambda: list(ProviderNotice.objects.values_list("outcome", flat=True)) == ["unknown"] * 3)


def rung(stage: Stage) -> bool:
    with redis.Redis.from_url(stage.broker.url) as broker:
        return bool(broker.exists("provider"))


@contextmanager
def held_up(programme: Programme) -> Iterator[None]:
    """Who applies, and who tells the notice msg_1, has to wait for us."""
    provider, now = Provider.objects.get(), timezone.now()
    with transaction.atomic():
        SeatPool.objects.select_for_update(no_key=True).get(programme=programme)
        ProviderNotice.objects.create(
            provider=provider, notice_id="msg_1", kind="progress", received_at=now, occurred_at=now
        )
        yield
        transaction.set_rollback(True)


def blocked() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted AND datname = %s",
            [connection.settings_dict["NAME"]],
        )
        return int(cursor.fetchone()[0])
