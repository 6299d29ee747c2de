"""Accounts at the running platform, for every test that makes the provider agree."""

from datetime import date, datetime

import pytest

from catalog.models import Programme, ProviderLine
from enrollment import provisioning
from enrollment.models import Enrollment, Event, Letter, ProviderAccount
from libraries.models import Institution
from tests.factories import NOW, make_institution, make_library, make_member, make_programme, make_provider
from tests.platform_server import TOKEN, RunningPlatform
from tests.rosters import put_on_roster

ADA, BO = "ada@example.test", "bo@example.test"
FACT = "18/05/1944"


def secret_of(name: str) -> str:
    return {"SANDBOX_PLATFORM_TOKEN": TOKEN}[name]


def settle(now: datetime = NOW) -> bool:
    return provisioning.settle_next(secret_of=secret_of, now=lambda: now)


def let_line_rest(now: datetime) -> None:
    """The time passes until the provider wants to be called again, or may be tried once more: the line keeps the
    database's time, not the test's."""
    ProviderLine.objects.update(paused_until=None)
    ProviderLine.objects.filter(down_since__isnull=False).update(next_probe_at=now, probing=False)


def settle_all(now: datetime = NOW) -> None:
    while settle(now):
        pass


@pytest.fixture
def halle(platform: RunningPlatform) -> Institution:
    """Its list proves every card at once; the provider is the running platform."""
    make_provider(base_url=platform.base_url)
    institution = make_institution("halle", card_check=Institution.CardCheck.ROSTER)
    make_library("Halle", institution)
    return institution


def seated(email: str, programme: Programme, institution: Institution, number: str = "21000001") -> Enrollment:
    if not institution.roster_entries.filter(number=number).exists():
        put_on_roster(institution, number, FACT, valid_until=date(2030, 1, 1))
    library = make_library("Halle", institution)
    enrollment = make_member(email, programme=programme, library=library, number=number, second_fact=FACT, now=NOW)
    assert enrollment.state == Enrollment.State.SEATED
    return enrollment


@pytest.fixture
def ada(halle: Institution) -> Enrollment:
    return seated(ADA, make_programme(), halle)


def account_of(enrollment: Enrollment) -> ProviderAccount:
    return ProviderAccount.objects.get(user_id=enrollment.user_id)


def kinds_of(enrollment: Enrollment) -> list[str]:
    events = Event.objects.filter(enrollment_id=enrollment.pk, kind__startswith="account_")
    return list(events.order_by("id").values_list("kind", flat=True))


def ready_letters() -> list[int]:
    found = Letter.objects.filter(kind=Letter.Kind.ACCOUNT_READY).order_by("id")
    return list(found.values_list("enrollment_id", flat=True))
