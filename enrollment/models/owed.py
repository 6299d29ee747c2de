"""Work that is owed outside, as rows: claimed under a lease, published only by whoever still holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import IsNull
from django.utils.translation import gettext_lazy as _

from libraries.models import User

W = TypeVar("W", bound="OwedWork")


def address_is_proved() -> Q:
    """Of the person that a row of work belongs to: a condition for its queryset, without a join, so that claims lock
    the row alone. Asked of each row by its person's id: of EXISTS the planner may make a list of all the people first,
    for a claim that reads a single row."""
    proved_at = User.objects.filter(pk=models.OuterRef("user_id")).values("address_proved_at")
    return Q(IsNull(models.Subquery(proved_at), False))


# Stand for now and for the end of a lease in a statement that is kept.
MOMENT, _LEASE_END = datetime(1, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)
# Chosen and locked once; who is locked is at work with it or being claimed by another.
_CLAIM = """
WITH chosen AS MATERIALIZED ({chosen} FOR NO KEY UPDATE SKIP LOCKED)
UPDATE {table} AS mine
SET lease_token = gen_random_uuid(), lease_until = %s, attempts = mine.attempts + 1{writes}
FROM chosen WHERE mine.id = chosen.id RETURNING mine.*{tells}
"""
_WRITES_FIRST = ", {0} = coalesce(mine.{0}, %s)"
_TELLS_FIRST = ", chosen.{0} IS NULL AS is_first_claim"


@dataclass(frozen=True)
class Statement:
    """SQL that was built once by the ORM, with values in it that stand for those to come."""

    sql: str
    values: tuple[Any, ...]

    def filled(self, known: Mapping[Any, object]) -> list[Any]:
        return [known.get(value, value) for value in self.values]


class OwedQuerySet(models.QuerySet[W]):
    # The column that keeps when a row was claimed for the first time, where there is one; then a claimed row says
    # whether that was now (`is_first_claim`).
    first_claim: ClassVar[str | None] = None

    def owed(self) -> OwedQuerySet[W]:
        return self.filter(due_at__isnull=False)

    def unblocked(self) -> OwedQuerySet[W]:
        """Of what is owed, what waits for us alone."""
        return self.owed()

    def due(self, now: datetime) -> OwedQuerySet[W]:
        """Owed, its time has come, not stuck, and nobody's lease on it is running."""
        free = Q(lease_until=None) | Q(lease_until__lte=now)
        return self.unblocked().filter(free, due_at__lte=now, stuck_at=None)

    def stuck(self) -> OwedQuerySet[W]:
        return self.filter(stuck_at__isnull=False)

    def oldest_owed_at(self) -> datetime | None:
        """Since when the oldest piece of work waits that people need not look at."""
        waiting = self.unblocked().filter(stuck_at=None)
        result: datetime | None = waiting.aggregate(oldest=models.Min("due_at"))["oldest"]
        return result

    def claim(self, *, now: datetime, lease: timedelta, order: Sequence[str] = ("due_at", "pk")) -> W | None:
        """Take one due row under a lease, the first in this order, or None; in one statement.

        Attempts are counted here, in the claim, so that work which kills its worker counts too. The row's
        `lease_token` fences the outcome: `publish` by an older holder changes nothing.
        """
        return self.claimed_by(self.to_claim(order), now=now, lease=lease)

    def to_claim(self, order: Sequence[str]) -> Statement:
        """The statement that claims one of these rows. To be kept: the ORM takes longer to build it than the database
        to run it."""
        first = self.first_claim
        due = self.due(MOMENT).order_by(*order).values("id", *([first] if first else []))[:1]
        chosen, values = due.query.sql_with_params()
        writes, tells = (_WRITES_FIRST.format(first), _TELLS_FIRST.format(first)) if first else ("", "")
        sql = _CLAIM.format(chosen=chosen, table=self.model._meta.db_table, writes=writes, tells=tells)
        return Statement(sql, (*values, _LEASE_END, *([MOMENT] if first else [])))

    def claimed_by(
        self, statement: Statement, *, now: datetime, lease: timedelta, known: Mapping[Any, object] | None = None
    ) -> W | None:
        filled = statement.filled({MOMENT: now, _LEASE_END: now + lease, **(known or {})})
        return next(iter(self.raw(statement.sql, filled)), None)

    def renew(self, row: W, *, now: datetime, lease: timedelta) -> bool:
        """The lease lasts longer, if it is still ours; say whether it is."""
        return bool(self.filter(pk=row.pk, lease_token=row.lease_token).update(lease_until=now + lease))

    def publish(self, row: W, *, due_at: datetime | None, **outcome: Any) -> bool:
        """Write an outcome and give the lease back, if it is still ours; say whether it was.

        `due_at` None settles the debt that was claimed; one that was made meanwhile stays owed, and is not stuck
        because the older one was.
        """
        mine = self.filter(pk=row.pk, lease_token=row.lease_token)
        of_debt = {"due_at": due_at} | {name: outcome.pop(name) for name in ("stuck_at",) if name in outcome}
        unless_newer = {
            name: models.Case(models.When(version=row.version, then=models.Value(value)), default=F(name))
            for name, value in of_debt.items()
        }
        return bool(mine.update(lease_token=None, lease_until=None, **unless_newer, **outcome))


class OwedWork(models.Model):
    """`due_at` None: nothing is owed. A new debt bumps `version`, so that a worker who settles an older one is told."""

    due_at = models.DateTimeField(_("to be done from"), null=True, blank=True)
    version = models.PositiveIntegerField(default=0, editable=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    lease_token = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    stuck_at = models.DateTimeField(_("stuck since"), null=True, blank=True)
    # A short word for the cause (see the adapters); never a text of the other side, which may hold personal data.
    trouble = models.CharField(_("what went wrong"), max_length=50, blank=True)

    class Meta:
        abstract = True

    @staticmethod
    def debt(now: datetime) -> dict[str, Any]:
        """The changes that make rows owed from now, as for the first time."""
        return {"due_at": now, "version": F("version") + 1, "attempts": 0, "stuck_at": None, "trouble": ""}
