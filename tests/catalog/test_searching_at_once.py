"""Of two who change the catalog at once, neither leaves a course that is found by what it was."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from catalog import searching
from catalog.models import Area, CatalogChange, Course, SearchWord, Synonym
from tests.enrollment.views.shelf_of_courses import make_course
from tests.factories import NOW

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
    at_once(first, second)
    assert is_found(words)


def test_a_word_of_a_course_that_is_just_coming_is_not_forgotten() -> None:
    """It was there before, and nobody else has it."""
    SearchWord.objects.create(word="sea")
    make_course("Spanish", area="languages")
    at_once(rename_course, tidy)
    assert set(SearchWord.objects.values_list("word", flat=True)) >= {"sea", "languages"}


def test_words_stay_where_an_import_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "LOCK_TIMEOUT", "1ms")
    SearchWord.objects.create(word="nowhere")
    CatalogChange.objects.update(at=NOW - timedelta(days=2))
    with transaction.atomic():
        make_course("Spanish")
        with ThreadPoolExecutor(1) as pool:
            pool.submit(closing(tidy)).result(timeout=30)
    assert SearchWord.objects.filter(word="nowhere").exists()
    tidy()
    assert not SearchWord.objects.filter(word="nowhere").exists()


def tidy() -> None:
    searching.tidy(now=NOW)


def at_once(first: Callable[[], None], second: Callable[[], None]) -> None:
    """The second begins before the first is committed."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            done = pool.submit(closing(second))
            wait_for([done], timeout=1)
        done.result(timeout=30)


def closing(work: Callable[[], None]) -> Callable[[], None]:
    """With a connection of its own."""

    def worked() -> None:
        try:
            work()
        finally:
            connection.close()

    return worked


def is_found(words: str) -> Any:
    query = "SELECT words @@ plainto_tsquery('simple', %s) FROM catalog_coursedocument"
    with connection.cursor() as cursor:
        cursor.execute(query, [words])
        return cursor.fetchone()[0]
