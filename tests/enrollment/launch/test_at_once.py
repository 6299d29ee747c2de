"""Starts at the same moment: each is answered once, and of several the first is one."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from catalog.models import Course, Tool
from enrollment.launch import authorizing, keys
from enrollment.models import CourseRun, Enrollment, Event, Launch
from tests.launches import asked_of, begin

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE = 4


def hold_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on everybody has read what there is before anybody writes."""
    barrier, found = threading.Barrier(PEOPLE), authorizing._launch

    def found_by_all(*asked: Any) -> Launch:
        launch = found(*asked)
        barrier.wait(timeout=30)
        return launch

    monkeypatch.setattr(authorizing, "_launch", found_by_all)


def answers_to(asked: Sequence[dict[str, str]], user_id: int) -> list[str]:
    found: list[str] = []

    def ask(one: dict[str, str]) -> None:
        try:
            answer = authorizing.answer(one, user_id=user_id, repeated=(), now=timezone.now())
            found.append(answer.fields.get("error", "granted"))
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(one,)) for one in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def noted() -> tuple[int, int, int]:
    return (
        CourseRun.objects.filter(started_at__isnull=False).count(),
        Event.objects.filter(kind="course_started").count(),
        Event.objects.filter(kind="started").count(),
    )


def test_one_start_is_answered_once(
    signed_in: Client, ada: Enrollment, course: Course, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.public_keyset(now=timezone.now())
    asked = asked_of(begin(signed_in, course), tool)
    hold_together(monkeypatch)
    assert answers_to([asked] * PEOPLE, ada.user_id) == ["granted"] + ["invalid_request"] * (PEOPLE - 1)
    assert noted() == (1, 1, 1)


def test_of_several_starts_one_is_the_first(
    signed_in: Client, ada: Enrollment, course: Course, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys.public_keyset(now=timezone.now())
    asked = [asked_of(begin(signed_in, course), tool) for _ in range(PEOPLE)]
    hold_together(monkeypatch)
    assert answers_to(asked, ada.user_id) == ["granted"] * PEOPLE
    assert (noted(), Launch.objects.filter(answered_at=None).count()) == ((1, 1, 1), 0)
