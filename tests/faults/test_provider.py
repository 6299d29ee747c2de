"""The provider's platform fails in the ways it can: everybody has one account in the end."""

import time

import pytest
from django.utils import timezone

from catalog.models import ProviderLine
from enrollment.models import Letter, ProviderAccount
from tests.faults.conftest import Apply
from tests.faults.stage import PROVISION, Stage, until

pytestmark = pytest.mark.faults


@pytest.mark.parametrize("kind", ["dropped_reply", "error_after_creating"])
def test_provider_creates_and_does_not_say_so(stage: Stage, apply: Apply, kind: str) -> None:
    apply(10)
    stage.platform.fault(kind, times=4)  # one more, and it would be left alone
    stage.worker()
    stage.sweep()
    until(lambda: ProviderAccount.objects.exclude(trouble="").count() == 4)
    until(lambda: len(stage.platform.accounts()) == 10)
    stage.make_due()
    stage.settle()
    stage.check_all_done(accepted=10)


def test_provider_down_for_a_while_delays_accounts_alone(stage: Stage, apply: Apply) -> None:
    stage.platform.fault("down")
    apply(10)
    stage.worker()
    stage.sweep()
    until(lambda: stage.owed() == {"ProviderAccount": 10})
    until(lambda: ProviderLine.objects.filter(down_since__isnull=False).exists())
    assert Letter.objects.filter(sent_at__isnull=False).count() == len(stage.mails()) == 10
    assert stage.platform.accounts() == []
    stage.platform.clear_faults()
    stage.let_lines_rest()
    stage.settle()
    stage.check_all_done(accepted=10)


def test_provider_is_not_called_before_the_time_it_named(stage: Stage, apply: Apply) -> None:
    apply(1)
    stage.platform.fault("too_many", times=1, seconds=4)
    stage.worker()
    asked_at = timezone.now()
    stage.sweep(PROVISION)
    until(lambda: ProviderAccount.objects.filter(trouble="rate_limited").exists())
    due_at = ProviderAccount.objects.get().due_at
    assert due_at is not None
    assert (due_at - asked_at).total_seconds() >= 4
    for _ in range(3):
        stage.sweep()
        time.sleep(0.3)
    assert stage.platform.calls() == 1
    stage.settle()
    assert timezone.now() >= due_at
    stage.check_all_done(accepted=1)
