from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import connection, models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from enrollment.models.enrollment import Enrollment
from enrollment.models.inserting import insert_each
from enrollment.models.owed import OwedQuerySet, OwedWork, address_is_proved

_TO_STAFF = [
    *("holds_ending", "places_scarce", "queue_long", "rechecks_stopped", "roster_stopped"),
    *("accounts_stuck", "provider_down", "lists_disagree"),
]
_OF_COURSES = ["course_leaves", "course_finished", "course_reminder"]

_OWE_POOL = """
INSERT INTO enrollment_letter (kind, enrollment_id, user_id, reason, owed_at, due_at, version, attempts, trouble)
SELECT %(kind)s, id, user_id, '', %(now)s, %(now)s, 0, 0, ''
FROM enrollment_enrollment WHERE pool_id = %(pool)s AND state = ANY(%(states)s) ORDER BY id
"""


class LetterQuerySet(OwedQuerySet["Letter"]):
    def unblocked(self) -> OwedQuerySet[Letter]:
        """To an address that nobody has proved, only what says nothing about the person."""
        return self.owed().filter(Q(kind__in=Letter.TO_ANYBODY) | address_is_proved())

    def owe_each(self, kind: str, enrollments: Iterable[Enrollment], *, now: datetime, reason: str = "") -> None:
        """Owe a letter to each (to nobody, where there are none), in the transaction of the decision it tells about."""
        if owed := list(enrollments):
            letter = Letter(kind=kind, reason=reason, owed_at=now, due_at=now)
            insert_each(letter, enrollment_id=[each.pk for each in owed], user_id=[each.user_id for each in owed])

    def owe_pool(self, kind: str, pool_id: int, *, states: Iterable[str], now: datetime) -> None:
        """Owe a letter to everybody in these states, in two statements however many they are. One of this kind that
        nobody has begun to send is dropped: this one says what is so now."""
        theirs = self.filter(kind=kind, enrollment__in=Enrollment.objects.filter(pool_id=pool_id))
        unclaimed = Q(lease_until=None) | Q(lease_until__lte=now)
        theirs.owed().filter(unclaimed).update(due_at=None, stuck_at=None, dropped_at=now)
        with connection.cursor() as cursor:
            cursor.execute(_OWE_POOL, {"kind": kind, "pool": pool_id, "states": list(states), "now": now})

    def owe_to_staff(
        self,
        kind: str,
        user_ids: Iterable[int],
        *,
        now: datetime,
        pool_id: int | None = None,
        institution_id: int | None = None,
        provider_id: int | None = None,
        reason: str = "",
    ) -> None:
        """Owe each of these a letter about a programme's places, an institution or a provider."""
        about = {"pool_id": pool_id, "institution_id": institution_id, "provider_id": provider_id, "reason": reason}
        self.bulk_create(Letter(kind=kind, user_id=pk, owed_at=now, due_at=now, **about) for pk in sorted(user_ids))

    def owe(self, kind: str, enrollment: Enrollment, *, now: datetime, reason: str = "") -> None:
        self.owe_each(kind, [enrollment], now=now, reason=reason)


class Letter(OwedWork):
    """A message to a member or to staff, owed until it is sent. What it says is read from the rows when it is sent."""

    class Kind(models.TextChoices):
        SEAT_GIVEN = "seat_given", _("a place is given")
        SEAT_HELD = "seat_held", _("a place is held")
        IN_QUEUE = "in_queue", _("in the queue")
        CARD_CONFIRMED = "card_confirmed", _("the card is confirmed")
        CARD_REFUSED = "card_refused", _("the card is refused")
        HOLD_LAPSED = "hold_lapsed", _("the held place was released")
        ACCOUNT_READY = "account_ready", _("the account is ready")
        TERM_ENDING = "term_ending", _("the place ends in 30 days")
        TERM_ENDS_SOON = "term_ends_soon", _("the place ends in 7 days")
        SEAT_RENEWED = "seat_renewed", _("the place is renewed")
        SEAT_ENDED = "seat_ended", _("the place has ended")
        CARD_TO_PROVE = "card_to_prove", _("the PIN is asked again")
        CARD_EXPIRED = "card_expired", _("the card has expired")
        SEAT_UNUSED = "seat_unused", _("the place is not used")
        CARD_CHANGED = "card_changed", _("another card carries the place")
        NEW_CARD_REFUSED = "new_card_refused", _("the new card is refused")
        PROGRAMME_CLOSES = "programme_closes", _("the programme ends")
        MERGED = "merged", _("two accounts are one")
        ADDRESS_TO_PROVE = "address_to_prove", _("the address is to be proved")
        ADDRESS_UNPROVED = "address_unproved", _("the address is still not proved")
        ERASURE_ASKED = "erasure_asked", _("a person's data are erased")
        # About one of the member's courses.
        COURSE_LEAVES = "course_leaves", _("a course leaves")
        COURSE_FINISHED = "course_finished", _("a course is finished")
        COURSE_REMINDER = "course_reminder", _("a course to go on with")
        # To staff, about a programme or an institution and not about one person.
        HOLDS_ENDING = "holds_ending", _("held places end soon")
        PLACES_SCARCE = "places_scarce", _("few places are left")
        QUEUE_LONG = "queue_long", _("the queue is long")
        RECHECKS_STOPPED = "rechecks_stopped", _("the check of proved cards has stopped")
        ROSTER_STOPPED = "roster_stopped", _("a list of cards is not taken")
        ACCOUNTS_STUCK = "accounts_stuck", _("accounts are stuck")
        PROVIDER_DOWN = "provider_down", _("the provider does not answer")
        LISTS_DISAGREE = "lists_disagree", _("the provider's list is not trusted")

    # They name nobody: the address may be a stranger's.
    TO_ANYBODY = (Kind.ADDRESS_TO_PROVE, Kind.ADDRESS_UNPROVED)

    kind = models.CharField(_("letter"), max_length=20, choices=Kind)
    enrollment = models.ForeignKey("enrollment.Enrollment", on_delete=models.PROTECT, null=True, related_name="letters")
    # Of letters about one course: the member's own run of it. It goes where the run goes.
    course_run = models.ForeignKey("enrollment.CourseRun", on_delete=models.CASCADE, null=True, related_name="letters")
    # Of letters to staff: what they are about.
    pool = models.ForeignKey("enrollment.SeatPool", on_delete=models.PROTECT, null=True, related_name="+")
    institution = models.ForeignKey("libraries.Institution", on_delete=models.PROTECT, null=True, related_name="+")
    provider = models.ForeignKey("catalog.Provider", on_delete=models.PROTECT, null=True, related_name="+")
    user = models.ForeignKey("libraries.User", on_delete=models.PROTECT, related_name="letters", verbose_name=_("to"))
    # A code (of a refusal, of an end, of how scarce places are) as it was when the letter was owed; of a course that
    # leaves, the day.
    reason = models.CharField(_("reason"), max_length=20, blank=True)
    owed_at = models.DateTimeField(_("owed since"))
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)
    # Settled without sending: what it would have said was no longer true when its turn came.
    dropped_at = models.DateTimeField(_("not sent any more"), null=True, blank=True)

    objects = LetterQuerySet.as_manager()

    class Meta:
        verbose_name = _("letter")
        verbose_name_plural = _("letters")
        constraints = [
            models.CheckConstraint(
                condition=Q(due_at__isnull=False, sent_at=None, dropped_at=None)
                | Q(due_at=None, sent_at__isnull=False, dropped_at=None)
                | Q(due_at=None, sent_at=None, dropped_at__isnull=False),
                name="letter_owed_sent_or_dropped",
            ),
            models.CheckConstraint(
                condition=(
                    Q(kind__in=_TO_STAFF, enrollment=None)
                    & (Q(pool__isnull=False) | Q(institution__isnull=False) | Q(provider__isnull=False))
                )
                | (~Q(kind__in=_TO_STAFF) & Q(enrollment__isnull=False, pool=None, institution=None, provider=None)),
                name="letter_about_a_member_or_to_staff",
            ),
            models.UniqueConstraint(fields=["enrollment"], condition=Q(kind="account_ready"), name="letter_ready_once"),
            # Of each day on which a course was to leave (`reason`) a member is told once.
            models.UniqueConstraint(
                fields=["course_run", "reason"],
                condition=Q(kind="course_leaves", dropped_at=None),
                name="letter_course_leaves_once",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=_OF_COURSES, course_run__isnull=False)
                | (~Q(kind__in=_OF_COURSES) & Q(course_run=None)),
                name="letter_about_a_course",
            ),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="letter_due")]

    def __str__(self) -> str:
        return f"#{self.pk}"
