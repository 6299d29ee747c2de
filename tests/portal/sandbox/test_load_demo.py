from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from enrollment import provisioning
from enrollment.models import Letter, ProviderAccount
from libraries.models import User
from portal.sandbox import demo_world
from tests.platform_server import RunningPlatform, platform

__all__ = ["platform"]

pytestmark = pytest.mark.django_db
TODAY = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def test_without_a_platform_the_accounts_are_owed_and_opened_later(
    settings: LazySettings, platform: RunningPlatform
) -> None:
    settings.SANDBOX_PLATFORM_URL = "http://127.0.0.1:9"
    demo_world.load(now=TODAY)
    assert ProviderAccount.objects.due(TODAY).count() == 1352
    assert Letter.objects.filter(kind="account_ready", enrollment__state="seated").count() == 0
    settings.SANDBOX_PLATFORM_URL = platform.server.address
    demo_world.load(now=TODAY)
    for _ in range(3):
        assert provisioning.settle_next(secret_of=lambda name: platform.token, now=lambda: TODAY)
    assert [account["active"] for account in platform.accounts()] == [True] * 3
    assert Letter.objects.owed().count() == 3


def test_load_demo_refuses_outside_the_sandbox(settings: LazySettings) -> None:
    settings.SANDBOX = False
    with pytest.raises(CommandError, match="SANDBOX is off"):
        call_command("load_demo")
    assert User.objects.count() == 0
