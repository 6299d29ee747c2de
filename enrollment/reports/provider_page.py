"""Everything about one provider, for its page in the workplace; with as many queries however much there is of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Count, Model, Q
from django.utils.translation import gettext as _

from catalog.models import Provider, Tool
from enrollment import provider_checks, tool_checks
from enrollment.models import Difference, Event, ProviderNotice, Reconciliation, SignOnClient
from enrollment.reports import provider_backlog, provider_line, timeline
from enrollment.reports.timeline import Line
from libraries.models import User

Kind = Event.Kind
# What people, and comparisons, did about the provider itself; by the index `event_of_provider`.
KINDS = (
    *(Kind.PROVIDER_CHANGED, Kind.PROVIDER_TESTED, Kind.TOOL_CHANGED, Kind.TOOL_TESTED, Kind.COURSES_IMPORTED),
    *(Kind.LISTS_COMPARED, Kind.LIST_DOUBTED, Kind.LIST_TRUSTED),
)
_CHANGED: Mapping[Kind, type[Model]] = {Kind.PROVIDER_CHANGED: Provider, Kind.TOOL_CHANGED: Tool}
LINES, NOTICES = 8, 5


@dataclass(frozen=True)
class Comparison:
    """The one begun last; `differences` are those that nobody has decided about."""

    row: Reconciliation
    differences: int


@dataclass(frozen=True)
class Notices:
    """The last ones that came, of all that wait to be worked on."""

    last: Sequence[ProviderNotice]
    owed: int
    stuck: int


def facts_of(provider: Provider, *, by: User, now: datetime) -> dict[str, Any]:
    """Of a provider whose line is loaded."""
    calls = provider_line.calls(provider, now=now)
    return {
        "provider": provider,
        "state": provider_line.state(provider, now=now),
        "backlog": provider_backlog.backlog(provider, now=now),
        "calls": calls,
        "latencies": provider_line.latencies(provider, now=now),
        "comparison": _comparison(provider),
        "notices": _notices(provider),
        "lines": history(provider),
        "may_test": provider_checks.may_test(by),
        "tool": Tool.objects.filter(provider=provider).first(),
        "sign_on": SignOnClient.objects.filter(provider=provider).first(),
        "may_add_tool": tool_checks.may_change(by),
    }


def _comparison(provider: Provider) -> Comparison | None:
    row = Reconciliation.objects.filter(provider=provider).order_by("-pk").first()
    if row is None:
        return None
    return Comparison(row, row.differences.filter(state=Difference.State.OPEN).count())


def _notices(provider: Provider) -> Notices:
    owed = ProviderNotice.objects.owed().filter(provider=provider)
    counts = owed.aggregate(all=Count("pk"), stuck=Count("pk", filter=Q(stuck_at__isnull=False)))
    last = ProviderNotice.objects.filter(provider=provider).order_by("-pk")[:NOTICES]
    return Notices(list(last), counts["all"] - counts["stuck"], counts["stuck"])


def history(provider: Provider) -> list[Line]:
    """The newest first; with two queries."""
    rows = Event.objects.filter(provider_id=provider.pk, kind__in=KINDS).select_related("note")
    events = list(rows.order_by("-at", "-id")[:LINES])
    names = timeline.names_of(event.actor_id for event in events)
    return [_line(event, names) for event in events]


def _line(event: Event, names: dict[int | None, str]) -> Line:
    who = names.get(event.actor_id, _("the portal"))
    words = event.note.words if hasattr(event, "note") else ""
    if event.kind in _CHANGED:
        words = ", ".join(_field(_CHANGED[Kind(event.kind)], name) for name in words.split(", ") if name)
    return Line(event.at, event.get_kind_display(), who, timeline.why(event), words)


def _field(model: type[Model], name: str) -> str:
    try:
        return str(getattr(model._meta.get_field(name), "verbose_name", name))
    except FieldDoesNotExist:
        return name
