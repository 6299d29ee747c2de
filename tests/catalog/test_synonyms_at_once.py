"""Of two who change synonyms and areas at once, neither leaves a course without the words of the other."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction

from catalog.models import Area, Synonym
from tests.enrollment.views.shelf_of_courses import make_course

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]

Change = Callable[[], Any]
add_ocean: Change = partial(Synonym.objects.create, words="sea, ocean")
add_castellano: Change = partial(Synonym.objects.create, words="spanish, castellano")
add_speech: Change = partial(Synonym.objects.create, words="tongues, speech")


def rename_area() -> None:
    Area.objects.filter(slug="languages").update(name_en="Tongues")


def correct() -> None:
    Synonym.objects.filter(words="fish, herring").update(words="fish, whale")


def forget() -> None:
    Synonym.objects.filter(words="fish, herring").delete()


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (add_ocean, add_castellano, "ocean castellano"),
        (rename_area, add_speech, "tongues speech"),
        (add_speech, rename_area, "tongues speech"),
        (add_castellano, correct, "whale castellano"),
        (correct, add_castellano, "whale castellano"),
        (forget, add_castellano, "castellano -herring"),
    ],
)
def test_both_changes_are_found(first: Change, second: Change, words: str) -> None:
    make_course("Spanish at sea", area="languages", description_en="With fish")
    Synonym.objects.create(words="fish, herring")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first()
            done = begun(pool, second)
        done.result(timeout=30)
    assert is_found(words)


def test_who_waits_keeps_nothing_that_the_other_still_needs() -> None:
    make_course("Spanish at sea", area="languages")
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            Synonym.objects.create(words="words, of no course")
            done = begun(pool, rename_area)
            add_castellano()
        done.result(timeout=30)
    assert is_found("tongues castellano")


def begun(pool: ThreadPoolExecutor, change: Change) -> Future[None]:
    """By another, who has come as far as they can by now."""

    def other() -> None:
        try:
            change()
        finally:
            connection.close()

    done = pool.submit(other)
    wait_for([done], timeout=1)
    return done


def is_found(words: str) -> Any:
    query = "SELECT words @@ websearch_to_tsquery('simple', %s) FROM catalog_coursedocument"
    with connection.cursor() as cursor:
        cursor.execute(query, [words])
        return cursor.fetchone()[0]
