"""What stands against a plan of the courses on offer: asked while somebody plans, and again under the lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import dates
from catalog.models import Listing

Role = Listing.Role
# Whoever has started a title is told so long before it leaves.
TOLD_BEFORE = timedelta(days=30)
_FARTHEST = timedelta(days=3660)


class Rule(models.TextChoices):
    NOTHING = "nothing", _("This changes nothing.")
    GONE = "gone", _("A title of this plan is not in the programme any more. Look at the plan again.")
    UNKNOWN_COURSE = "unknown_course", _("A course of this plan does not exist any more.")
    OTHER_PROVIDER = "other_provider", _("“%(title)s” is not of the provider of this programme.")
    ENDS_BEFORE_START = "ends_before_start", _("“%(title)s” would end before it begins.")
    IN_THE_PAST = "in_the_past", _("“%(title)s”: %(day)s has passed.")
    TOO_FAR = "too_far", _("“%(title)s”: %(day)s is very far away. Check the year.")
    HAS_BEGUN = "has_begun", _("“%(title)s” is on offer already: only its end can change.")
    HAS_ENDED = "has_ended", _("“%(title)s” has left already.")
    STAYS = "stays", _("“%(title)s” is on offer already: it can end, but it cannot be taken away.")
    ON_OFFER = "on_offer", _("“%(title)s” would be on offer twice at once, from %(day)s on.")
    TOO_MANY = "too_many", _("On %(day)s there would be %(count)s core titles, and %(most)s at most are allowed.")
    MODULE_TAKEN = "module_taken", _("%(month)s would have two modules: “%(title)s” and “%(other)s”.")
    STARTED = (
        "started",
        _(
            "Members who have started “%(title)s” and not finished it: %(members)s. They are told 30 days before it"
            " leaves, so it can leave on %(day)s at the earliest."
        ),
    )


@dataclass(frozen=True)
class Against:
    """One reason, for people in the language that is active when `words` is read."""

    rule: Rule
    told: Mapping[str, object] = field(default_factory=dict)

    @property
    def words(self) -> str:
        return str(self.rule.label) % {name: _in_words(name, value) for name, value in self.told.items()}


def _in_words(name: str, value: object) -> str:
    if isinstance(value, date):
        return dates.written(value, "F Y" if name == "month" else "j F Y")
    return str(value)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A course's time on offer: `until` is the first day it is gone, None where no end is planned. `title` is for the
    words alone, and `listing` for slots that are in the programme already."""

    course_id: int
    since: date
    until: date | None = None
    role: str = Role.CORE
    title: str = field(default="", compare=False)
    listing_id: int | None = field(default=None, compare=False)

    def is_on(self, day: date) -> bool:
        return self.since <= day and (self.until is None or self.until > day)

    def overlaps(self, other: Slot) -> bool:
        return self.course_id == other.course_id and _meet(self, other) is not None


def _meet(one: Slot, other: Slot) -> date | None:
    """The first day on which both are on offer."""
    since = max(one.since, other.since)
    return since if one.is_on(since) and other.is_on(since) else None


@dataclass(frozen=True)
class Offer:
    """What is on offer before and after a plan. `new`: those that come or have changed, each with what it was."""

    today: date
    most: int
    before: Mapping[int, Slot]
    after: Sequence[Slot]
    new: Sequence[tuple[Slot, Slot | None]]
    removed: Sequence[Slot]
    # How many members are at each course and have to be told before it leaves.
    learners: Mapping[int, int]


def reasons_against(offer: Offer) -> list[Against]:
    """Of each title first, and of the days only where each by itself makes sense."""
    found = [reason for slot, was in offer.new for reason in _of_slot(slot, was, offer)]
    found += [Against(Rule.STAYS, {"title": slot.title}) for slot in offer.removed if slot.since <= offer.today]
    if any(reason.rule == Rule.ENDS_BEFORE_START for reason in found):
        return found
    rules: Sequence[Callable[[Offer], Iterator[Against]]] = (_once, _at_most, _a_module_a_month, _told_in_time)
    return [*found, *(reason for rule in rules for reason in rule(offer))]


def _of_slot(slot: Slot, was: Slot | None, offer: Offer) -> Iterator[Against]:
    def told(rule: Rule, day: date | None = None) -> Against:
        return Against(rule, {"title": slot.title} | ({"day": day} if day else {}))

    today = offer.today
    if was is not None and was.until is not None and was.until <= today:
        yield told(Rule.HAS_ENDED)
        return
    if slot.until is not None and slot.until <= slot.since:
        yield told(Rule.ENDS_BEFORE_START)
    begun = was is not None and was.since <= today
    if begun and was is not None and (was.since, was.role) != (slot.since, slot.role):
        yield told(Rule.HAS_BEGUN)
    for day in _days_chosen(slot, was):
        if day < today:
            yield told(Rule.IN_THE_PAST, day)
        elif day > today + _FARTHEST:
            yield told(Rule.TOO_FAR, day)


def _days_chosen(slot: Slot, was: Slot | None) -> Iterator[date]:
    if was is None or was.since != slot.since:
        yield slot.since
    if slot.until is not None and (was is None or was.until != slot.until):
        yield slot.until


def _once(offer: Offer) -> Iterator[Against]:
    """No course twice at once; each pair is told once."""
    told: set[frozenset[int]] = set()
    for slot, _was in offer.new:
        for other in offer.after:
            pair = frozenset((id(slot), id(other)))
            if other is not slot and slot.overlaps(other) and pair not in told:
                told.add(pair)
                yield Against(Rule.ON_OFFER, {"title": slot.title, "day": max(slot.since, other.since, offer.today)})


def _at_most(offer: Offer) -> Iterator[Against]:
    """The worst day to come, of those on which something is new. Of a programme that has too many already, titles may
    still leave."""
    core = [slot for slot in offer.after if slot.role == Role.CORE]
    new = [slot for slot, was in offer.new if slot.role == Role.CORE and not (was and _is_within(slot, was))]
    days = {max(slot.since, offer.today) for slot in core}
    counts = {day: busy_on(core, day) for day in days if any(slot.is_on(day) for slot in new)}
    worst = min(counts, key=lambda day: (-counts[day], day), default=None)
    if worst is not None and counts[worst] > offer.most:
        yield Against(Rule.TOO_MANY, {"day": worst, "count": counts[worst], "most": offer.most})


def _is_within(slot: Slot, was: Slot) -> bool:
    ends = was.until is None or (slot.until is not None and slot.until <= was.until)
    return was.role == slot.role and was.since <= slot.since and ends


def busy_on(slots: Iterable[Slot], day: date) -> int:
    return sum(slot.is_on(day) for slot in slots)


def most_at_once(slots: Collection[Slot], since: date) -> int:
    """The most core titles on any day from this one on."""
    core = [slot for slot in slots if slot.role == Role.CORE]
    return max((busy_on(core, max(slot.since, since)) for slot in core), default=0)


def _a_module_a_month(offer: Offer) -> Iterator[Against]:
    modules = [slot for slot in offer.after if slot.role == Role.MODULE]
    for number, slot in enumerate(modules):
        for other in modules[:number]:
            same = (slot.since.year, slot.since.month) == (other.since.year, other.since.month)
            if same and any(one in (slot, other) for one, _was in offer.new):
                yield Against(Rule.MODULE_TAKEN, {"month": slot.since, "title": other.title, "other": slot.title})


def _told_in_time(offer: Offer) -> Iterator[Against]:
    """A title that is being followed leaves no sooner than its members can be told; one that was to leave sooner still
    may, and may stay longer."""
    first = offer.today + TOLD_BEFORE
    for course_id, members in sorted(offer.learners.items()):
        had = leaves_on(offer.before.values(), course_id, offer.today)
        has = leaves_on(offer.after, course_id, offer.today)
        if members and has is not None and has < first and (had is None or has < had):
            titles = [slot.title for slot in offer.before.values() if slot.course_id == course_id]
            yield Against(Rule.STARTED, {"title": titles[0], "members": members, "day": first})


def leaves_on(slots: Iterable[Slot], course_id: int, today: date) -> date | None:
    """The first day from today on which the course is gone, however many slots follow each other without a break; None
    where no end is planned. Today itself, where it is not on offer."""
    own = sorted((slot for slot in slots if slot.course_id == course_id), key=lambda slot: slot.since)
    end = today
    for slot in own:
        if slot.since <= end and (slot.until is None or slot.until > end):
            if slot.until is None:
                return None
            end = slot.until
    return end
