"""The broker is only a doorbell: flushed or killed while work is owed, a sweep finds everything."""

import pytest
import redis

from tests.faults.conftest import Apply
from tests.faults.stage import Stage, until

pytestmark = pytest.mark.faults


def test_broker_flushed_while_work_is_owed(stage: Stage, apply: Apply) -> None:
    apply(10)
    stage.sweep()
    with redis.Redis.from_url(stage.broker.url) as broker:
        assert broker.llen("provider") == 1
        broker.flushall()
    stage.worker()
    assert stage.owed() == {"ProviderAccount": 10, "Letter": 10}
    stage.settle()
    stage.check_all_done(accepted=10)


def test_broker_killed_under_a_working_worker(stage: Stage, apply: Apply) -> None:
    """The worker connects again; or it ends, when kombu gives messages back to a broker that is gone."""
    apply(20)
    stage.platform.fault("slow", seconds=0.05)
    worker = stage.worker()
    stage.sweep()
    until(lambda: len(stage.platform.accounts()) > 2)
    stage.broker.kill()
    apply(10)
    until(lambda: "onnection" in worker.tail(100))
    stage.broker.start()
    stage.settle(watching=worker)
    stage.check_all_done(accepted=30)
