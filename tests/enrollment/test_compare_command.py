from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from enrollment.models import Reconciliation
from libraries.models import Institution
from tests.comparisons import Outsider, open_accounts
from tests.factories import make_provider
from tests.platform_server import RunningPlatform

pytestmark = pytest.mark.django_db


def test_command_compares_and_counts(
    halle: Institution, platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_PLATFORM_TOKEN", platform.token)
    [account] = open_accounts(halle, 1)
    Outsider(platform).change(account.remote_id, active=False)
    out = StringIO()
    call_command("compare_with_provider", "skillstown", stdout=out)
    run = Reconciliation.objects.get()
    assert out.getvalue().splitlines()[0] == f"comparison {run.pk}: 1 on the list, of which 1 ours"
    assert "       1 closed_there" in out.getvalue().splitlines()


def test_command_tells_that_the_provider_does_not_answer() -> None:
    make_provider()
    with pytest.raises(CommandError, match="is tried again: unreachable"):
        call_command("compare_with_provider", "skillstown", stdout=StringIO())


def test_command_knows_no_other_provider() -> None:
    with pytest.raises(CommandError, match="no provider elsewhere"):
        call_command("compare_with_provider", "elsewhere", stdout=StringIO())
