"""Limits are exact: in a window so many are allowed, whoever asks at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections

from libraries import limits
from libraries.models import Attempt
from tests.factories import NOW

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def test_so_many_are_allowed_and_no_more() -> None:
    assert [limits.allow("a", limit=2, per=HOUR, now=NOW) for _ in range(4)] == [True, True, False, False]


def test_keys_do_not_touch_each_other() -> None:
    assert limits.allow("a", "bc", limit=1, per=HOUR, now=NOW)
    assert limits.allow("ab", "c", limit=1, per=HOUR, now=NOW)
    assert not limits.allow("a", "bc", limit=1, per=HOUR, now=NOW)


def test_new_window_begins_when_the_old_one_is_over() -> None:
    assert limits.allow("a", limit=1, per=HOUR, now=NOW)
    assert not limits.allow("a", limit=1, per=HOUR, now=NOW + HOUR - timedelta(seconds=1))
    assert limits.allow("a", limit=1, per=HOUR, now=NOW + HOUR)
    assert not limits.allow("a", limit=1, per=HOUR, now=NOW + HOUR)


def test_refused_attempts_do_not_make_the_wait_longer() -> None:
    limits.allow("a", limit=1, per=HOUR, now=NOW)
    limits.allow("a", limit=1, per=HOUR, now=NOW + HOUR / 2)
    assert limits.allow("a", limit=1, per=HOUR, now=NOW + HOUR)


def test_key_is_kept_as_a_keyed_hash() -> None:
    limits.allow("codes for", "ada@example.test", limit=1, per=HOUR, now=NOW)
    (attempt,) = Attempt.objects.all()
    assert (len(attempt.key), "ada" in attempt.key) == (64, False)


@pytest.mark.concurrency
@pytest.mark.django_db(transaction=True)
def test_limit_holds_for_200_at_once() -> None:
    def ask(_number: int) -> bool:
        try:
            return limits.allow("a", limit=5, per=HOUR, now=NOW)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=20) as pool:
        assert sum(pool.map(ask, range(200))) == 5
