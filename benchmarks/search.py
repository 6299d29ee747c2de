"""Searches over 1,000 and 100,000 courses on offer, as the page of courses makes them but for HTTP and the template;
the ceiling is reading the courses of one page by their numbers."""

from __future__ import annotations

import random
import time
from functools import partial
from statistics import quantiles

from benchmarks.stage import Stage, milliseconds, report

SIZES = (1_000, 100_000)


def measure(size: int, dice: random.Random) -> None:
    from django.utils import timezone

    from benchmarks import titles
    from catalog.models import Course
    from enrollment.reports import finding, offer

    day = timezone.localdate()
    ids = list(Course.objects.values_list("pk", flat=True)[: finding.ON_A_PAGE])
    bare = [milliseconds(lambda: offer.on_offer(day, among=ids)) for _ in range(50)]
    took = [milliseconds(partial(finding.find, wish, day=day)) for wish in titles.searches(dice)]
    ceiling, cuts = quantiles(bare, n=20)[-1], quantiles(took, n=100)
    for name, value in (("p50", cuts[49]), ("p95", cuts[94]), ("p99", cuts[98])):
        report(f"search_{size}_{name}", value, "ms", ceiling / value)


def main(stage: Stage) -> None:
    from benchmarks import titles

    dice = random.Random(5)
    words = titles.words_of(dice, 4_000)
    programme = titles.make_programme(words)
    done = 0
    for size in SIZES:
        started = time.perf_counter()
        titles.make_courses(programme, size, start=done, dice=dice, words=words)
        report(f"search_indexed_{size}", (size - done) / (time.perf_counter() - started), "courses/s", 1)
        done = size
        measure(size, dice)
