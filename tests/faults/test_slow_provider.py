"""A provider that takes for ever keeps nobody waiting but its own accounts."""

from urllib.parse import urlsplit

import pytest
from django.db.models import Q

from catalog.models import Provider
from enrollment.models import Letter
from tests.faults.conftest import Apply
from tests.faults.proxy import Fault, fault_proxy
from tests.faults.stage import LETTERS, PROVISION, Stage, until

pytestmark = pytest.mark.faults


def test_letters_leave_while_the_provider_drips(stage: Stage, apply: Apply) -> None:
    """Whoever sends letters never takes up an account, however many are owed."""
    apply(10)
    port = urlsplit(stage.platform.base_url).port
    assert port is not None
    with fault_proxy(port, lambda number: Fault.DRIP) as proxy:
        Provider.objects.update(base_url=f"http://127.0.0.1:{proxy.port}/v2")
        stage.worker(queues="mail")
        stage.sweep(PROVISION, times=8)
        stage.sweep(LETTERS)
        until(lambda: not Letter.objects.owed().exists())
        assert proxy.history == []
        stage.worker(queues="provider")
        until(lambda: len(proxy.history) > 0)
        apply(3)
        stage.sweep(LETTERS)
        until(lambda: not Letter.objects.owed().exists())
        assert len(stage.mails()) == Letter.objects.filter(Q(sent_at__isnull=False)).count() == 13
    Provider.objects.update(base_url=stage.platform.base_url)
