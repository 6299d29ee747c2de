from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _


class SeatPoolManager(models.Manager["SeatPool"]):
    def lock(self, pk: int) -> SeatPool:
        """The pool's row, locked until the transaction ends: the first lock of every transition.

        FOR NO KEY UPDATE, because an insert that refers to the pool holds a key lock on it: with a full lock two
        such transactions would deadlock. The programme's row too: of a row that is not locked, whoever has waited
        for the lock would read what it was before the wait.
        """
        return self.select_related("programme").select_for_update(no_key=True, of=("self", "programme")).get(pk=pk)


class SeatPool(models.Model):
    """The capped seats of a programme. The database itself refuses more than the cap."""

    programme = models.OneToOneField(
        "catalog.Programme", on_delete=models.PROTECT, related_name="pool", verbose_name=_("programme")
    )
    cap = models.PositiveIntegerField(_("number of places"))
    taken = models.PositiveIntegerField(_("places taken"), default=0)
    floors = models.PositiveIntegerField(_("guaranteed places"), default=0)
    planned_cap = models.PositiveIntegerField(_("number of places to sink to"), null=True, blank=True)
    # Some seat counts in another share than that of its person's card, and moves there when there is room.
    has_movers = models.BooleanField(default=False, editable=False)
    # What the coordinators were told last (enrollment.scarcity): percents taken, and whether the queue is long.
    told_percent = models.PositiveSmallIntegerField(default=0, editable=False)
    told_queue = models.BooleanField(default=False, editable=False)

    objects = SeatPoolManager()

    class Meta:
        verbose_name = _("places of a programme")
        verbose_name_plural = _("places of programmes")
        constraints = [
            models.CheckConstraint(condition=Q(taken__gte=0, taken__lte=F("cap")), name="pool_taken_within_cap"),
            models.CheckConstraint(condition=Q(floors__lte=F("cap")), name="pool_floors_within_cap"),
            models.CheckConstraint(
                condition=Q(planned_cap=None) | Q(planned_cap__lt=F("cap")), name="pool_planned_cap_below_cap"
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def limit(self) -> int:
        """How many seats may be given out: the cap, or the lower number it is sinking to."""
        return self.cap if self.planned_cap is None else min(self.cap, self.planned_cap)

    @property
    def free(self) -> int:
        return max(0, self.limit - self.taken)


class Share(models.Model):
    """What one institution is guaranteed of a pool (floor) and may take at most (ceiling; None: no limit).

    What it does not use of its floor is kept free for it; from `lends_from` on others may have it, and the
    institution's members come first for what comes free.
    """

    pool = models.ForeignKey(
        "enrollment.SeatPool", on_delete=models.PROTECT, related_name="shares", verbose_name=_("places of")
    )
    institution = models.ForeignKey(
        "libraries.Institution",
        on_delete=models.PROTECT,
        related_name="shares",
        verbose_name=_("institution"),
    )
    floor = models.PositiveIntegerField(_("guaranteed places"), default=0)
    ceiling = models.PositiveIntegerField(_("at most"), null=True, blank=True)
    lends_from = models.DateField(_("lends what is unused from"), null=True, blank=True)
    taken = models.PositiveIntegerField(_("places taken"), default=0)

    class Meta:
        verbose_name = _("share")
        verbose_name_plural = _("shares")
        constraints = [
            models.UniqueConstraint(fields=["pool", "institution"], name="share_once_per_institution"),
            # The target of the enrollment's double foreign key: a seat counts in a share of its own pool.
            models.UniqueConstraint(fields=["id", "pool"], name="share_of_pool"),
            models.CheckConstraint(
                condition=Q(ceiling=None) | Q(taken__lte=F("ceiling"), floor__lte=F("ceiling")),
                name="share_within_ceiling",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
