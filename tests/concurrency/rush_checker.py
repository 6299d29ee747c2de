"""What is wrong after a rush: reads the history of what everybody was told, the database and its events."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import Count, Q

from enrollment.models import CapChange, Enrollment, Event, SeatPool
from enrollment.reports.audit import audit
from libraries.models import Card
from tests.concurrency.rush import Line
from tests.concurrency.rush_findings import Finding, Kind
from tests.concurrency.rush_timeline import Claim, Timeline

Told = dict[str, Any]
LONG_AGO = 100_000
# Of what was told: which events there are of the same moment, and whose they are.
ENDED = ("seat_ended", "withdrawn")
WRITTEN = {
    "give_back": (ENDED, "enrollment"),
    "end_by_staff": (ENDED, "enrollment"),
    "renew": (("seat_renewed",), "enrollment"),
    "give_priority": (("priority_given",), "enrollment"),
    "take_priority": (("priority_taken",), "enrollment"),
    "confirm": (("card_confirmed",), "card"),
    "refuse": (("card_refused",), "card"),
    "change": (("cap_changed", "share_changed"), "pool"),
    "schedule": (("change_planned",), "pool"),
    "withdraw": (("change_withdrawn",), "pool"),
}
# Of what tells a number: the events of the same moment that it must be the number of.
COUNTED = {
    "lapse_holds": ("hold_lapsed",),
    "end_terms": ENDED,
    "serve": ("seat_held", "seat_given"),
    "change": ("seat_held", "seat_given"),
}
# What a rule of the audit says where it is broken. Counters are looked at apart: they can be wrong in two ways.
MEANING = {
    "cap_kept": Kind.OVER_CAP,
    "ceiling_kept": Kind.OVER_CAP,
    "confirmed_not_passed_over": Kind.PASSED_OVER,
    "nobody_waits_in_vain": Kind.PASSED_OVER,
    "holds_end": Kind.STUCK,
    "terms_end": Kind.STUCK,
}


@dataclass(frozen=True)
class History:
    plan: Told
    answers: list[Told]
    samples: list[Told]

    @classmethod
    def read(cls, path: Path) -> History:
        lines = defaultdict(list)
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            lines[line["line"]].append(line)
        return cls(lines[Line.PLAN][0], lines[Line.ANSWER], lines[Line.SAMPLE])


def check(path: Path, *, now: datetime) -> list[Finding]:
    """Everything that is wrong; nobody may be at work any more."""
    history, events = History.read(path), list(Event.objects.order_by("pk"))
    return [
        *everybody_was_answered(history),
        *answers_are_kept(history, events),
        *seats_were_within(history),
        *timelines_hold(events),
        *everything_is_there_once(),
        *rules_hold(now),
    ]


def kinds(findings: list[Finding]) -> Counter[Kind]:
    return Counter(finding.kind for finding in findings)


# --- Stuck ---


def everybody_was_answered(history: History) -> Iterator[Finding]:
    answered = Counter(line["client"] for line in history.answers)
    for client in range(history.plan["clients"]):
        if answered[client] < history.plan["each"]:
            yield Finding(Kind.STUCK, f"client {client} had {answered[client]} of {history.plan['each']} answers")
    for line in history.answers:
        if is_a(line, "broke"):
            yield Finding(Kind.STUCK, f"{line['operation']} of {line['ids']}: {line['answer']}")


def is_a(line: Told, kind: str) -> bool:
    return isinstance(line["answer"], dict) and kind in line["answer"]


# --- What was told is so ---


def answers_are_kept(history: History, events: list[Event]) -> Iterator[Finding]:
    by_moment = defaultdict(list)
    for event in events:
        by_moment[event.at].append(event)
    claims = {each.pk: each for each in Enrollment.objects.all()}
    for line in history.answers:
        of_this = by_moment[datetime.fromisoformat(line["now"])]
        if is_a(line, "refused"):
            yield from _did_nothing(line, of_this)
        elif line["operation"] == "apply" and not is_a(line, "broke"):
            yield from _is_there(line, claims)
        elif not is_a(line, "broke"):
            yield from _was_done(line, of_this)
            yield from _as_often(line, of_this)


def _did_nothing(line: Told, events: list[Event]) -> Iterator[Finding]:
    if events:
        yield Finding(Kind.LOST, f"{line['operation']} of {line['ids']} was refused, and done")


def _is_there(line: Told, claims: dict[int, Enrollment]) -> Iterator[Finding]:
    found = claims.get(line["answer"]["id"])
    if found is None or {"user": found.user_id, "pool": found.pool_id} != line["ids"]:
        yield Finding(Kind.LOST, f"application {line['answer']} of {line['ids']}")


def _was_done(line: Told, events: list[Event]) -> Iterator[Finding]:
    """Once, where something was to be done; not at all, where the answer was that there was nothing."""
    if line["operation"] in WRITTEN:
        wanted, whose = WRITTEN[line["operation"]]
        found = [event for event in events if event.kind in wanted]
        found = [event for event in found if getattr(event, f"{whose}_id") == line["ids"][whose]]
        if bool(found) != (line["answer"] is not False):
            yield Finding(Kind.LOST, f"{line['operation']} of {line['ids']}: {line['answer']}, but not on record")


def _as_often(line: Told, events: list[Event]) -> Iterator[Finding]:
    said = line["answer"]
    if line["operation"] in COUNTED:
        done = sum(event.kind in COUNTED[line["operation"]] for event in events)
    elif line["operation"] == "apply_due":
        at = line["now"]
        done = CapChange.objects.filter(Q(applied_at=at) & ~Q(effective_at=at) | _dropped(at)).count()
    else:
        return
    if done != said:
        kind = Kind.LOST if done < said else Kind.DOUBLED
        yield Finding(kind, f"{line['operation']} of {line['ids']} at {line['now']} said {said}, and did {done}")


def _dropped(at: str) -> Q:
    return Q(withdrawn_at=at, withdrawn_by=None)


# --- Never more than there are ---


def seats_were_within(history: History) -> Iterator[Finding]:
    for sample in history.samples:
        for of, pk, most, said, counted in sample["rows"]:
            if most is not None and max(said, counted) > most:
                yield Finding(Kind.OVER_CAP, f"{of} {pk} had {counted} ({said}) of {most}")
            if said != counted:
                yield from _miscounted(f"{of} {pk}", said, counted)


def _miscounted(what: str, said: int, counted: int) -> Iterator[Finding]:
    kind = Kind.LOST if said > counted else Kind.DOUBLED
    yield Finding(kind, f"{what} counts {said} taken, and {counted} have one")


# --- What happened, in its order ---


def timelines_hold(events: list[Event]) -> Iterator[Finding]:
    for pool in SeatPool.objects.order_by("pk"):
        timeline = Timeline()
        yield from timeline.tell(event for event in events if event.pool_id == pool.pk)
        yield from _ends_as_it_is(timeline.claims, pool)
    yield from _cards_are_as_decided(events)


def _ends_as_it_is(claims: dict[int, Claim], pool: SeatPool) -> Iterator[Finding]:
    rows = {row.pk: (row.state, row.priority) for row in pool.enrollments.all()}
    told = {claim.pk: (claim.state, claim.priority) for claim in claims.values()}
    for pk in sorted(rows.keys() | told.keys()):
        if rows.get(pk) != told.get(pk):
            yield Finding(Kind.LOST, f"enrollment {pk} is {rows.get(pk)}, and by its events {told.get(pk)}")


def _cards_are_as_decided(events: list[Event]) -> Iterator[Finding]:
    """A confirmed card can be refused without a word when nobody applies with it any more, and another proves the
    number."""
    decided = {event.card_id: event.kind for event in events if event.kind in ("card_confirmed", "card_refused")}
    states = dict(Card.objects.filter(pk__in=decided).values_list("pk", "state"))
    for card_id, kind in decided.items():
        allowed = {"card_confirmed": {"confirmed", "refused"}, "card_refused": {"refused"}}[kind]
        if states.get(card_id or 0) not in allowed:
            yield Finding(Kind.LOST, f"card {card_id} is {states.get(card_id or 0)}, and by its events {kind}")


# --- How things are ---


def everything_is_there_once() -> Iterator[Finding]:
    for whose in ("user", "card"):
        rows = Enrollment.objects.open().values("pool", whose).annotate(times=Count("pk")).filter(times__gt=1)
        yield from (Finding(Kind.DOUBLED, f"applications: {row}") for row in rows)
    living = Card.objects.living().values("institution", "number").annotate(times=Count("pk")).filter(times__gt=1)
    yield from (Finding(Kind.DOUBLED, f"living cards of institution {row['institution']}") for row in living)
    applied = Event.objects.filter(kind=Event.Kind.APPLIED).values("enrollment_id").annotate(times=Count("pk"))
    yield from (Finding(Kind.DOUBLED, f"events: {row}") for row in applied.filter(times__gt=1))


def rules_hold(now: datetime) -> Iterator[Finding]:
    for pool in SeatPool.objects.order_by("pk"):
        taken = pool.enrollments.holding_seats().count()
        if taken != pool.taken:
            yield from _miscounted(f"pool {pool.pk}", pool.taken, taken)
    for found in audit(now=now, unanswered_days=LONG_AGO):
        if not found.holds:
            yield Finding(MEANING.get(found.check.name, Kind.LOST), f"audit: {found.check.name} {found.named}")
