"""A seat that is used at the moment in which something else happens to it."""

from __future__ import annotations

from threading import Event as Signal
from time import sleep

import pytest
from django.db import transaction
from django.utils import timezone

from enrollment import using
from enrollment.models import Enrollment, Event, Share
from tests.concurrency.conftest import Together
from tests.enrollment.launch.learners import seat
from tests.factories import make_institution

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]


def test_progress_while_the_seat_is_moved_to_another_share_is_a_use_of_it(together: Together) -> None:
    gent = make_institution("gent")
    ada = seat()
    other = Share.objects.get(pool=ada.pool, institution=gent)
    moved = Signal()

    def move() -> None:
        with transaction.atomic():
            Enrollment.objects.filter(pk=ada.pk).update(share=other)
            moved.set()
            sleep(0.5)

    def use() -> bool:
        moved.wait(10)
        provider_id, now = ada.pool.programme.provider_id, timezone.now()
        return using.note_progress(user_id=ada.user_id, provider_id=provider_id, course_code="x", at=now, now=now)

    assert together([move, use]) == [None, True]
    assert Event.objects.filter(kind=Event.Kind.STARTED).count() == 1
