"""Messages carry no work: a task looks at the rows, and a lost or doubled message changes nothing."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from catalog.provider.notices import Notice
from enrollment import noticing, tasks
from enrollment.models import Enrollment, Letter, ProviderAccount, ProviderNotice
from libraries.models import User
from portal.celery import app
from tests.enrollment.test_doorbell import until
from tests.factories import NOW, make_library, make_member, make_programme, make_provider, make_user

pytestmark = pytest.mark.django_db

QUEUES = ("provider", "mail", "sweeps")
LONG_AGO = NOW - timedelta(days=2000)


@pytest.fixture
def broker() -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        broker.delete(*QUEUES)
        yield broker
        broker.delete(*QUEUES)


def lengths(broker: "redis.Redis") -> dict[str, int]:
    return {queue: int(str(broker.llen(queue))) for queue in QUEUES}


def test_ring_puts_one_message_without_any_data_into_each_queue(broker: "redis.Redis") -> None:
    tasks.ring()
    assert until(lambda: lengths(broker) == {"provider": 1, "mail": 1, "sweeps": 0})
    for queue in ("provider", "mail"):
        assert '"body": "W1tdLCB7fSwg' in str(broker.lindex(queue, 0))  # [[], {}, …: no arguments


def test_provision_due_without_work_wakes_nobody(broker: "redis.Redis") -> None:
    tasks.provision_due()
    assert lengths(broker) == {"provider": 0, "mail": 0, "sweeps": 0}


def test_provision_due_with_work_does_it_all_and_wakes_a_colleague_and_the_mail(broker: "redis.Redis") -> None:
    provider = make_provider()
    ProviderAccount.objects.bulk_create(
        ProviderAccount(user=make_user(f"ada{n}@example.test"), provider=provider, must_be_active=False, due_at=NOW)
        for n in range(3)
    )
    tasks.provision_due()
    assert ProviderAccount.objects.filter(seen="absent", due_at=None).count() == 3
    assert lengths(broker) == {"provider": 1, "mail": 1, "sweeps": 0}


def test_settle_notices_works_them_off_and_wakes_the_provider(broker: "redis.Redis") -> None:
    tell(3)
    tasks.settle_notices()
    assert not ProviderNotice.objects.owed().exists()
    assert lengths(broker) == {"provider": 1, "mail": 0, "sweeps": 1}
    tasks.settle_notices()
    assert lengths(broker) == {"provider": 1, "mail": 0, "sweeps": 1}


def test_ring_for_notices_puts_one_message_without_any_data_among_the_sweeps(broker: "redis.Redis") -> None:
    tasks.ring_for_notices()
    assert until(lambda: lengths(broker) == {"provider": 0, "mail": 0, "sweeps": 1})
    assert '"body": "W1tdLCB7fSwg' in str(broker.lindex("sweeps", 0))


def test_sweep_people_forgets_old_notices() -> None:
    tell(1)
    ProviderNotice.objects.update(received_at=LONG_AGO, due_at=None)
    tasks.sweep_people()
    assert not ProviderNotice.objects.exists()


def tell(count: int) -> None:
    provider = make_provider()
    for number in range(count):
        notice = Notice(f"msg_{number}", "account.closed", NOW, uuid4(), "42")
        noticing.store(provider_id=provider.pk, notice=notice, now=NOW)


def test_send_letters_sends_all_that_are_due(broker: "redis.Redis") -> None:
    make_library()
    programme = make_programme()
    for name in ("ada", "bo", "cy"):
        make_member(f"{name}@example.test", programme=programme)
    tasks.send_letters()
    assert Letter.objects.filter(sent_at__isnull=False).count() == 3
    assert lengths(broker) == {"provider": 0, "mail": 1, "sweeps": 0}


def test_sweep_seats_releases_overdue_holds_and_rings(broker: "redis.Redis") -> None:
    make_library()
    ada = make_member(programme=make_programme(hold_days=14), now=LONG_AGO)
    tasks.sweep_seats()
    ada.refresh_from_db()
    assert (ada.state, ada.passed_over) == (Enrollment.State.WAITING, True)
    assert until(lambda: lengths(broker) == {"provider": 1, "mail": 1, "sweeps": 0})


def test_sweep_seats_with_nothing_to_do_rings_nobody(broker: "redis.Redis") -> None:
    tasks.sweep_seats()
    assert not until(lambda: lengths(broker) != {"provider": 0, "mail": 0, "sweeps": 0}, within=0.2)


def test_sweep_step_that_fails_keeps_no_other_waiting(
    broker: "redis.Redis", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def apply_due(*, now: object) -> int:
        raise ValueError("a row with a name in it")

    monkeypatch.setattr("enrollment.cap.apply_due", apply_due)
    make_library()
    ada = make_member(programme=make_programme(hold_days=14), now=LONG_AGO)
    tasks.sweep_seats()
    ada.refresh_from_db()
    assert ada.state == Enrollment.State.WAITING
    assert caplog.messages == ["sweep: apply_due failed: ValueError"]


def test_sweep_people_forgets_addresses_that_were_never_proved() -> None:
    make_user("typo@example.test", date_joined=LONG_AGO)
    tasks.sweep_people()
    assert not User.objects.exists()


def test_schedule_names_tasks_that_are_there() -> None:
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled == {f"enrollment.tasks.{name}" for name in _NAMES}
    assert set(app.conf.task_routes) <= scheduled <= set(app.tasks)


_NAMES = (
    "provision_due",
    "probe_providers",
    "send_letters",
    "ask_libraries",
    "erase_people",
    "recheck_cards",
    "fetch_rosters",
    "sweep_seats",
    "sweep_people",
    "settle_notices",
    "compare_lists",
    "ask_for_comparisons",
)
