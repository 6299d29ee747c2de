"""Why somebody's place in the queue changed: every event that brought a person into the line before them or out of it,
by day and cause. Together they are exactly the difference between the place then and now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from enrollment.models import Enrollment, Event
from enrollment.seats import WAS_HELD

Kind = Event.Kind

# Events are in the order of their ids: those of a pool are written under its lock, while their time is that from before
# the lock. They say how somebody stood then, which merging may have changed since; of oneself only the priority changes
# while in line, which follows from the events about it. For who was passed over, an event about priority has no places,
# nor has a confirmed card that brought nobody back. Whoever ended keeps the mark of having been passed over. For events
# older than these words: how somebody stands now.
_KINDS = (
    *(Kind.SEAT_GIVEN, Kind.SEAT_HELD, Kind.WITHDRAWN, Kind.PRIORITY_GIVEN, Kind.PRIORITY_TAKEN),
    *(Kind.CARD_CONFIRMED, Kind.CARD_UNDISPUTED),
)
_TURNS = """
WITH RECURSIVE days AS (
    (SELECT date_trunc('day', v.at, %(zone)s) AS starts_at, 1 AS number FROM enrollment_event v
     WHERE v.pool_id = %(pool)s AND v.at >= %(since)s AND v.kind IN {kinds} ORDER BY v.at DESC LIMIT 1)
    UNION ALL
    SELECT date_trunc('day', earlier.at, %(zone)s), days.number + 1 FROM days CROSS JOIN LATERAL (
        SELECT v.at FROM enrollment_event v
        WHERE v.pool_id = %(pool)s AND v.at >= %(since)s AND v.at < days.starts_at AND v.kind IN {kinds}
        ORDER BY v.at DESC LIMIT 1
    ) earlier WHERE days.number < %(days)s
), mine AS (
    SELECT e.id, e.pool_id, e.priority, e.applied_at, (
        SELECT max(v.id) FROM enrollment_event v
        WHERE v.enrollment_id = e.id AND (v.kind = 'queued' OR v.kind IN ('card_confirmed', 'card_undisputed')
              AND v.new_value IS NOT NULL)
    ) AS joined
    FROM enrollment_enrollment e WHERE e.id = %(enrollment)s
), moves AS (
    SELECT v.id, v.at, v.kind, v.enrollment_id, v.old_value, v.new_value, v.priority, v.applied_at,
           v.kind IN ('priority_given', 'priority_taken') AS of_priority
    FROM enrollment_event v CROSS JOIN mine
    WHERE v.pool_id = %(pool)s AND v.at >= (SELECT min(starts_at) FROM days) AND v.at >= %(since)s
    AND v.id > mine.joined AND v.kind IN {kinds} AND (
        v.kind IN ('seat_held', 'withdrawn', 'priority_given', 'priority_taken')
        OR v.kind = 'seat_given' AND v.reason <> %(was_held)s
        OR v.kind IN ('card_confirmed', 'card_undisputed') AND v.new_value IS NOT NULL
    )
), own_priorities AS (
    SELECT array_agg(m.id) AS ids FROM moves m JOIN mine ON mine.id = m.enrollment_id WHERE m.of_priority
), stood AS MATERIALIZED (
    SELECT m.id, m.at, m.kind, m.old_value, m.new_value, m.of_priority, x.id AS who, x.passed_over,
        coalesce(m.priority, x.priority) AS priority, coalesce(m.applied_at, x.applied_at) AS applied_at,
        (mine.priority + (SELECT count(*) FROM unnest(own.ids) later WHERE later > m.id)) %% 2 AS own
    FROM moves m CROSS JOIN mine CROSS JOIN own_priorities own JOIN enrollment_enrollment x ON x.id = m.enrollment_id
), told AS (
    SELECT s.id, s.at, s.kind, s.who = mine.id AS is_own, CASE
        WHEN s.of_priority AND s.new_value IS NULL THEN 0
        WHEN s.who = mine.id THEN s.new_value - s.old_value
        WHEN s.of_priority THEN
            ((s.priority, s.applied_at, s.who) < (s.own, mine.applied_at, mine.id))::int
            - ((1 - s.priority, s.applied_at, s.who) < (s.own, mine.applied_at, mine.id))::int
        WHEN (s.priority, s.applied_at, s.who) >= (s.own, mine.applied_at, mine.id) THEN 0
        WHEN s.kind IN ('card_confirmed', 'card_undisputed') THEN 1
        WHEN s.kind = 'withdrawn' AND s.passed_over THEN 0
        ELSE -1 END AS places
    FROM stood s CROSS JOIN mine
)
SELECT (at AT TIME ZONE %(zone)s)::date AS day, CASE WHEN kind = 'seat_held' THEN 'seat_given' ELSE kind END AS cause,
       is_own, count(*), sum(places)::int
FROM told WHERE places <> 0 OR is_own
GROUP BY 1, 2, 3 ORDER BY 1 DESC, max(id) DESC
""".replace("{kinds}", f"({', '.join(repr(kind.value) for kind in _KINDS)})")


@dataclass(frozen=True)
class Turn:
    """So many people on one day, for one cause, and by how many places they changed the person's own: below 0 is
    nearer."""

    day: date
    cause: str
    is_own: bool
    people: int
    places: int

    @property
    def words(self) -> str:
        return _own(self.cause) if self.is_own else _of_others(self.cause, self.people)


def turns_of(enrollment: Enrollment, *, since: datetime, days: int) -> Sequence[Turn]:
    """From when the person came into the line, or from `since` if that was later, and of so many days on which anything
    happened in the queue; the newest first, with one query.

    Must be in line. People whose application is erased are not told of.
    """
    facts: dict[str, Any] = {
        "enrollment": enrollment.pk,
        "pool": enrollment.pool_id,
        "since": since,
        "days": days,
        "was_held": WAS_HELD,
        "zone": timezone.get_current_timezone_name(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_TURNS, facts)
        return [Turn(*row) for row in cursor.fetchall()]


def _own(cause: str) -> str:
    return _("You got priority in the queue") if cause == Kind.PRIORITY_GIVEN else _("Your priority in the queue ended")


def _of_others(cause: str, people: int) -> str:
    match cause:
        case Kind.SEAT_GIVEN:
            text = ngettext(
                "%(count)d person before you got a place", "%(count)d people before you got a place", people
            )
        case Kind.WITHDRAWN:
            text = ngettext(
                "%(count)d person before you left the queue", "%(count)d people before you left the queue", people
            )
        case Kind.PRIORITY_GIVEN:
            text = ngettext("%(count)d person got priority", "%(count)d people got priority", people)
        case Kind.PRIORITY_TAKEN:
            text = ngettext("The priority of %(count)d person ended", "The priority of %(count)d people ended", people)
        case Kind.CARD_CONFIRMED:
            text = ngettext(
                "%(count)d person came back to an earlier turn, because the card is confirmed",
                "%(count)d people came back to an earlier turn, because their cards are confirmed",
                people,
            )
        case _:
            text = ngettext(
                "%(count)d person came back to an earlier turn, because the question about the card is settled",
                "%(count)d people came back to an earlier turn, because the questions about their cards are settled",
                people,
            )
    return text % {"count": people}
