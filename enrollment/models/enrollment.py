from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Least
from django.db.models.lookups import LessThan
from django.utils.translation import gettext_lazy as _

QUEUE_ORDER = ("priority", "applied_at", "id")
# A hold ends soon: the library has so long to look at the card, or half of the hold where that is shorter.
HOLD_ENDING_WITHIN = timedelta(days=5)
_HALF_OF_THE_HOLD = models.ExpressionWrapper(
    F("pool__programme__hold_days") * Value(timedelta(days=1) / 2), output_field=models.DurationField()
)


class EnrollmentQuerySet(models.QuerySet["Enrollment"]):
    def open(self) -> EnrollmentQuerySet:
        return self.exclude(state=Enrollment.State.ENDED)

    def of_institutions(self, ids: Collection[int]) -> EnrollmentQuerySet:
        """Those that count there, and those with a card, or a new card, of theirs."""
        counted = Q(share__institution_id__in=ids)
        return self.filter(counted | Q(card__institution_id__in=ids) | Q(next_card__institution_id__in=ids))

    def with_card_in(self, state: str, *, of: Collection[int] | None = None) -> EnrollmentQuerySet:
        """Open, with a card or a new card in this state; of these institutions, or of all."""
        scope = {"card__institution_id__in": of} if of is not None else {}
        on_it = Q(card__state=state, **scope)
        to_come = Q(**{f"next_{name}": value for name, value in {"card__state": state, **scope}.items()})
        return self.open().filter(on_it | to_come)

    def waiting(self) -> EnrollmentQuerySet:
        return self.filter(state=Enrollment.State.WAITING)

    def in_line(self) -> EnrollmentQuerySet:
        """Those who may get a seat now: waiting, and not passed over (disputed card, lapsed hold)."""
        return self.waiting().filter(passed_over=False)

    def holding_seats(self) -> EnrollmentQuerySet:
        return self.filter(state__in=Enrollment.WITH_SEAT)

    def in_queue_order(self) -> EnrollmentQuerySet:
        return self.order_by(*QUEUE_ORDER)

    def hold_overdue(self, now: datetime) -> EnrollmentQuerySet:
        return self.filter(state=Enrollment.State.HELD, hold_until__lte=now)

    def hold_ending(self, now: datetime) -> EnrollmentQuerySet:
        """Held seats that are released soon unless their card is confirmed; they have been so since `ending_since`."""
        within = Least(models.Value(HOLD_ENDING_WITHIN), _HALF_OF_THE_HOLD, output_field=models.DurationField())
        held = self.filter(state=Enrollment.State.HELD, hold_until__lte=now + HOLD_ENDING_WITHIN)
        return held.alias(ending_since=F("hold_until") - within).filter(ending_since__lte=now)

    def term_over(self, now: datetime) -> EnrollmentQuerySet:
        return self.filter(state=Enrollment.State.SEATED, ends_at__lte=now)

    def ahead_of(self, enrollment: Enrollment) -> EnrollmentQuerySet:
        """Those in line before this one in the same pool."""
        own = (Value(getattr(enrollment, name)) for name in QUEUE_ORDER)
        # Rows are compared, so that it is one range of the pool's line; three conditions with OR read all of it.
        before: LessThan[bool] = LessThan(_row(*QUEUE_ORDER), _row(*own))
        return self.in_line().filter(before, pool_id=enrollment.pool_id)


def _row(*values: str | Value) -> Func:
    return Func(*values, function="ROW", output_field=models.BooleanField())


class Enrollment(models.Model):
    """A person's claim on a seat. Its place in the queue is (priority, applied_at, id), never a stored position."""

    class State(models.TextChoices):
        WAITING = "waiting", _("in the queue")
        HELD = "held", _("place held")
        SEATED = "seated", _("has a place")
        ENDED = "ended", _("ended")

    class EndReason(models.TextChoices):
        GIVEN_BACK = "given_back", _("given back by the member")
        WITHDRAWN = "withdrawn", _("application withdrawn by the member")
        CARD_REFUSED = "card_refused", _("the card was refused")
        TERM_OVER = "term_over", _("the term is over")
        BY_STAFF = "by_staff", _("ended by the library")
        UNUSED = "unused", _("the place was never used")
        CARD_LAPSED = "card_lapsed", _("the library card was no longer valid")
        PROGRAMME_CLOSED = "programme_closed", _("the programme has ended")
        MERGED = "merged", _("put together with another application of the same person")
        NO_ACCOUNT = "no_account", _("the account could not be opened")
        ERASED = "erased", _("the person's data were erased")

    WITH_SEAT = (State.HELD, State.SEATED)
    FIRST, NORMAL = 0, 1

    pool = models.ForeignKey(
        "enrollment.SeatPool",
        on_delete=models.PROTECT,
        related_name="enrollments",
        verbose_name=_("programme"),
    )
    share = models.ForeignKey(
        "enrollment.Share", on_delete=models.PROTECT, related_name="enrollments", verbose_name=_("share")
    )
    user = models.ForeignKey(
        "libraries.User", on_delete=models.PROTECT, related_name="enrollments", verbose_name=_("member")
    )
    card = models.ForeignKey(
        "libraries.Card", on_delete=models.PROTECT, related_name="enrollments", verbose_name=_("card")
    )
    # A card that is to take the place of `card` once it is confirmed; until then the claim stands on `card`.
    next_card = models.ForeignKey(
        "libraries.Card",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="next_enrollments",
        verbose_name=_("new card"),
    )
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    priority = models.PositiveSmallIntegerField(_("priority"), default=NORMAL)
    applied_at = models.DateTimeField(_("applied"))
    # Waiting, but no seat may be given: the card is disputed, or a hold lapsed and the card is still not confirmed.
    passed_over = models.BooleanField(_("passed over"), default=False)
    hold_until = models.DateTimeField(_("held until"), null=True, blank=True)
    hold_lapsed_at = models.DateTimeField(_("hold lapsed"), null=True, blank=True)
    seated_at = models.DateTimeField(_("place given"), null=True, blank=True)
    ends_at = models.DateTimeField(_("place until"), null=True, blank=True)
    # The end of the full term, where the end of the programme comes before it.
    uncut_ends_at = models.DateTimeField(null=True, blank=True, editable=False)
    used_at = models.DateTimeField(_("first used"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    end_reason = models.CharField(_("why it ended"), max_length=20, blank=True, choices=EndReason)
    privacy_version = models.CharField(_("privacy text read"), max_length=20)
    privacy_language = models.CharField(_("in"), max_length=2)
    privacy_read_at = models.DateTimeField(_("read"))
    age_confirmed = models.PositiveSmallIntegerField(_("minimum age confirmed"), null=True, blank=True)

    objects = EnrollmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("application")
        verbose_name_plural = _("applications")
        constraints = [
            models.UniqueConstraint(
                fields=["pool", "user"], condition=~Q(state="ended"), name="enrollment_open_once_per_person"
            ),
            models.UniqueConstraint(
                fields=["pool", "card"], condition=~Q(state="ended"), name="enrollment_open_once_per_card"
            ),
            models.UniqueConstraint(
                fields=["pool", "next_card"],
                condition=Q(next_card__isnull=False),
                name="enrollment_next_card_once",
            ),
            models.CheckConstraint(
                condition=Q(next_card=None) | ~Q(state="ended"), name="enrollment_next_card_while_open"
            ),
            models.CheckConstraint(
                condition=Q(uncut_ends_at=None) | Q(uncut_ends_at__gt=F("ends_at")), name="enrollment_cut_is_shorter"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "held", "seated", "ended"]), name="enrollment_state_known"
            ),
            models.CheckConstraint(
                condition=Q(passed_over=False) | Q(state__in=["waiting", "ended"]),
                name="enrollment_passed_over_waits",
            ),
            models.CheckConstraint(
                condition=Q(state="held", hold_until__isnull=False) | (~Q(state="held") & Q(hold_until=None)),
                name="enrollment_held_until",
            ),
            models.CheckConstraint(
                condition=Q(seated_at=None, ends_at=None) | Q(seated_at__isnull=False, ends_at__isnull=False),
                name="enrollment_seated_at_and_until",
            ),
            models.CheckConstraint(
                condition=~Q(state="seated") | Q(seated_at__isnull=False), name="enrollment_seated_has_time"
            ),
            models.CheckConstraint(
                condition=(Q(state="ended", ended_at__isnull=False) & ~Q(end_reason=""))
                | (~Q(state="ended") & Q(ended_at=None, end_reason="")),
                name="enrollment_ended_at_and_why",
            ),
            models.CheckConstraint(condition=Q(priority__lte=1), name="enrollment_priority_known"),
        ]
        indexes = [
            # allocate() reads the first of each share from this one.
            models.Index(
                fields=["share", "priority", "applied_at", "id"],
                condition=Q(state="waiting", passed_over=False),
                name="enrollment_line_of_share",
            ),
            models.Index(
                fields=["pool", "priority", "applied_at", "id"],
                condition=Q(state="waiting", passed_over=False),
                name="enrollment_line_of_pool",
            ),
            models.Index(fields=["hold_until"], condition=Q(state="held"), name="enrollment_hold_until"),
            models.Index(fields=["ends_at"], condition=Q(state="seated"), name="enrollment_ends_at"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def has_seat(self) -> bool:
        return self.state in self.WITH_SEAT
