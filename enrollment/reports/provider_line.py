"""How it goes with the line to a provider, as staff read it: whether it works, how fast, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog import dates, tallies
from catalog.models import Provider, ProviderLine
from catalog.tallies import Latency
from enrollment.reports import troubles

DAYS = 14


class Code(StrEnum):
    NEW = "new"
    WORKS = "works"
    FAILING = "failing"
    PAUSED = "paused"
    DOWN = "down"


class Sort(models.TextChoices):
    """What failed calls have in common for who reads about them."""

    AWAY = "away", gettext_lazy("No answer")
    FAULT = "fault", gettext_lazy("Error there")
    PAUSE = "pause", gettext_lazy("Asked to wait")
    SETTINGS = "settings", gettext_lazy("Settings")
    REFUSED = "refused", gettext_lazy("Refused")
    OTHER = "other", gettext_lazy("Other")


SORTS: Mapping[str, Sort] = {
    **dict.fromkeys(("unreachable", "timeout", "connection_lost"), Sort.AWAY),
    **dict.fromkeys(("server_error", "bad_answer", "answer_too_large", "filter_ignored", "paging_ignored"), Sort.FAULT),
    **dict.fromkeys(("rate_limited", "no_turn"), Sort.PAUSE),
    **dict.fromkeys(("bad_token", "no_secret", "bad_address", "bad_certificate", "redirected"), Sort.SETTINGS),
    **dict.fromkeys(("unknown_kind", "not_allowed", "not_supported", "not_found", "no_list"), Sort.SETTINGS),
    **dict.fromkeys(("bad_request", "conflict", "limit_reached", "name_taken"), Sort.REFUSED),
    **dict.fromkeys(("two_matches", "same_id", "not_ours", "changed_meanwhile", "gone"), Sort.REFUSED),
    **dict.fromkeys(("unknown_course", "course_closed"), Sort.REFUSED),
}


@dataclass(frozen=True)
class State:
    code: Code
    words: str
    trouble: str = ""
    tries: int = 0
    last_success_at: datetime | None = None
    last_trouble_at: datetime | None = None

    @property
    def is_down(self) -> bool:
        return self.code == Code.DOWN

    @property
    def can_be_tried(self) -> bool:
        return self.code in (Code.DOWN, Code.PAUSED)

    @property
    def tone(self) -> str:
        return {Code.DOWN: "bad", Code.PAUSED: "warn", Code.FAILING: "warn", Code.WORKS: "good"}.get(self.code, "")


@dataclass(frozen=True)
class Day:
    """`of_sort` has a count for each of the report's sorts."""

    on: date
    calls: int
    failed: int
    of_sort: Sequence[int]

    @property
    def percent(self) -> int:
        """Of the calls; a day with a failure shows one, and a day with a success one of these."""
        if not self.failed:
            return 0
        return 100 if self.failed == self.calls else min(99, max(1, round(100 * self.failed / self.calls)))


@dataclass(frozen=True)
class Calls:
    """`days`: newest first. `per_second`: in the last whole minute; `used` in percent of the allowance. `most_at_once`
    is what is allowed now: fewer than the provider allows, shortly after it came back."""

    days: Sequence[Day]
    sorts: Sequence[Sort]
    troubles: Sequence[tuple[str, int]]
    per_second: float
    used: int
    at_once: int
    most_at_once: int

    @property
    def is_empty(self) -> bool:
        return not any(day.calls for day in self.days)

    @property
    def failed(self) -> int:
        return sum(day.failed for day in self.days)


def line_of(provider: Provider) -> ProviderLine | None:
    """None where it was never called."""
    try:
        return provider.line
    except ObjectDoesNotExist:
        return None


def state(provider: Provider, *, now: datetime) -> State:
    """In one sentence; of a provider whose line is loaded."""
    line = line_of(provider)
    if line is None or not (line.last_success_at or line.last_trouble_at):
        return State(Code.NEW, _("The portal has not called this provider yet."))
    code, words = _in_words(line, now)
    failed = code != Code.WORKS or line.last_trouble_at is not None
    return State(
        code,
        words,
        trouble=troubles.in_words(line.last_trouble) if failed else "",
        tries=line.probes,
        last_success_at=line.last_success_at,
        last_trouble_at=line.last_trouble_at,
    )


def _in_words(line: ProviderLine, now: datetime) -> tuple[Code, str]:
    if line.down_since is not None:
        told = {"since": _moment(line.down_since), "next": _moment(line.next_probe_at or now)}
        if line.next_probe_at is None or line.next_probe_at <= now:
            return Code.DOWN, _("Down since %(since)s. The next try is due now.") % told
        if line.probing:
            return Code.DOWN, _("Down since %(since)s. It is being tried right now.") % told
        return Code.DOWN, _("Down since %(since)s. The next try is at %(next)s.") % told
    if line.paused_until is not None and line.paused_until > now:
        told = {"until": _moment(line.paused_until)}
        return Code.PAUSED, _("Paused until %(until)s: the provider asked the portal to wait.") % told
    if line.failures:
        return Code.FAILING, _("The last calls failed. The portal tries again by itself.")
    return Code.WORKS, _("Works: the last call was answered.")


def _moment(at: datetime) -> str:
    return dates.written(timezone.localtime(at), "j F Y, H:i")


def calls(provider: Provider, *, now: datetime) -> Calls:
    """With two queries, beside the line."""
    today = timezone.localdate(now)
    found = tallies.errors_by_day(provider.pk, since=_midnight(today - timedelta(days=DAYS - 1)))
    minute = now.replace(second=0, microsecond=0) - timedelta(minutes=1)
    per_second = tallies.per_minute(provider.pk, since=minute).get(minute, 0) / 60
    by_code = Counter[str]()
    for each in found:
        by_code[each.code] += each.count
    good = by_code.pop("", 0)
    sorts = sorted({_sort(code) for code in by_code}, key=list(Sort).index)
    line = line_of(provider)
    return Calls(
        days=[_day(today - timedelta(days=ago), sorts, found) for ago in range(DAYS)] if good or by_code else [],
        sorts=sorts,
        troubles=[(troubles.in_words(code), count) for code, count in by_code.most_common()],
        per_second=round(per_second, 1),
        used=round(100 * per_second / provider.calls_per_second),
        at_once=sum(end > now.timestamp() * 1_000_000 for end in line.under_way) if line else 0,
        most_at_once=min(provider.calls_at_once, line.successes + 1 if line and not line.down_since else 1000),
    )


def _day(on: date, sorts: Sequence[Sort], found: Sequence[tallies.Errors]) -> Day:
    counts = Counter[Sort | None]()
    for each in found:
        if each.day == on:
            counts[_sort(each.code) if each.code else None] += each.count
    failed = sum(counts[sort] for sort in sorts)
    return Day(on, failed + counts[None], failed, [counts[sort] for sort in sorts])


def _sort(code: str) -> Sort:
    return SORTS.get(code, Sort.OTHER)


def latencies(provider: Provider, *, now: datetime) -> list[tuple[str, Latency]]:
    """Today, and in seven days; with two queries."""
    today = timezone.localdate(now)
    return [
        (_("today"), tallies.latency(provider.pk, since=_midnight(today))),
        (_("last 7 days"), tallies.latency(provider.pk, since=_midnight(today - timedelta(days=6)))),
    ]


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
