"""The programmes a visitor may hear of: open, still to open, or closed; and who takes part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from django.db.models import Prefetch

from catalog.models import Programme
from enrollment.models import SeatPool
from enrollment.reports.availability import Availability, availabilities
from libraries.models import Institution, Library


@dataclass(frozen=True)
class OpenProgramme:
    programme: Programme
    seats: Availability


def open_programmes(day: date) -> list[OpenProgramme]:
    """The first is the one that leads; with two queries."""
    pools = SeatPool.objects.filter(programme__in=Programme.objects.open_on(day)).select_related("programme")
    ordered = list(pools.order_by("programme__opens_on", "programme_id"))
    seats = availabilities(ordered)
    return [OpenProgramme(pool.programme, seats[pool.pk]) for pool in ordered]


def next_to_open(day: date) -> Programme | None:
    return Programme.objects.filter(opens_on__gt=day, pool__isnull=False).order_by("opens_on", "pk").first()


def last_closed(day: date) -> Programme | None:
    return Programme.objects.filter(closes_on__lte=day).order_by("-closes_on", "pk").first()


def taking_part(programmes: Iterable[int]) -> list[Institution]:
    """The institutions of these programmes by place, each with its libraries; with two queries."""
    libraries = Prefetch("libraries", Library.objects.order_by("city", "name"))
    found = Institution.objects.filter(shares__pool__programme__in=programmes).distinct()
    return list(found.order_by("city", "name").prefetch_related(libraries))
