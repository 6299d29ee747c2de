"""Of two who change the catalog at once, neither leaves a course that is found by what it was."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Any

import pytest
from django.db import connection, transaction

from catalog.models import Area, Course, Synonym
from tests.enrollment.views.shelf_of_courses import make_course

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]


def rename_area() -> None:
    Area.objects.filter(slug="languages").update(name_en="Tongues")


def rename_course() -> None:
    Course.objects.update(title="Spanish at sea")


def add_synonym() -> None:
    Synonym.objects.create(words="sea, ocean")


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (rename_area, rename_course, "tongues sea"),
        (rename_course, rename_area, "tongues sea"),
        (add_synonym, rename_course, "ocean"),
        (rename_course, add_synonym, "ocean"),
    ],
)
def test_both_changes_are_found(first: Callable[[], None], second: Callable[[], None], words: str) -> None:
    make_course("Spanish", area="languages")

    def other() -> None:
        try:
            second()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            done = pool.submit(other)
            wait_for([done], timeout=1)
        done.result(timeout=30)
    assert is_found(words)


def is_found(words: str) -> Any:
    query = "SELECT words @@ plainto_tsquery('simple', %s) FROM catalog_coursedocument"
    with connection.cursor() as cursor:
        cursor.execute(query, [words])
        return cursor.fetchone()[0]
