from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from catalog.models import Programme
from enrollment.models import Enrollment
from libraries.models import Institution
from tests.factories import make_institution, make_library, make_member, make_programme, make_provider
from tests.faults import stage as stages
from tests.faults.proxy import fault_proxy
from tests.faults.seeded_clock import simulated_clock
from tests.faults.seeded_workers import workers
from tests.faults.seeded_world import Stage as SeededStage
from tests.faults.seeded_world import make_stage
from tests.faults.stage import Stage
from tests.platform_server import TOKEN, running_platform
from tests.rosters import put_on_roster

FACT = "18/05/1944"
NOTICES_SECRET = "whsec_bm90LWEtc2VjcmV0LW9ubHktZm9yLXRlc3RzISE="
Apply = Callable[[int], list[Enrollment]]


@pytest.fixture
def stage(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("SANDBOX_PLATFORM_TOKEN", TOKEN)
    monkeypatch.setenv("SANDBOX_WEBHOOK_SECRET", NOTICES_SECRET)
    with stages.set_up(tmp_path) as stage:
        yield stage


@pytest.fixture
def programme(stage: Stage) -> Programme:
    """At an institution whose list proves every card at once."""
    make_provider(base_url=stage.platform.base_url, webhook_secret_name="SANDBOX_WEBHOOK_SECRET")
    make_library("Halle", make_institution("halle", card_check=Institution.CardCheck.ROSTER))
    return make_programme(cap=1000)


@pytest.fixture
def apply(programme: Programme) -> Apply:
    """So many new members apply and get a seat."""
    halle = make_institution("halle")

    def apply(number: int) -> list[Enrollment]:
        first = Enrollment.objects.count()
        return [_apply(programme, halle, first + each) for each in range(number)]

    return apply


def _apply(programme: Programme, institution: Institution, each: int) -> Enrollment:
    number = f"{21_000_000 + each}"
    put_on_roster(institution, number, FACT, valid_until=date(2099, 1, 1))
    library = make_library("Halle", institution)
    enrollment = make_member(
        f"member{each}@example.test", programme=programme, library=library, number=number, second_fact=FACT
    )
    assert enrollment.state == Enrollment.State.SEATED
    return enrollment


@pytest.fixture
def seeded_stage(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SeededStage]:
    with (
        running_platform(tmp_path / "accounts.jsonl") as platform,
        fault_proxy(platform.server.server_port) as proxy,
        simulated_clock(monkeypatch) as clock,
        workers(3, proxy, clock, monkeypatch) as staff,
    ):
        yield make_stage(platform, proxy, clock, staff)
