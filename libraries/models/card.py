from __future__ import annotations

from datetime import date

from django.db import models
from django.db.models import F, Q, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Concat, Greatest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

ERASED = "ERASED"


def erased_number(pk: str) -> Combinable:
    """`Card.number_after_erasing` of the card whose id is in this field, in SQL."""
    return Concat(Value(ERASED), Cast(pk, models.CharField()))


class CardQuerySet(models.QuerySet["Card"]):
    def living(self) -> CardQuerySet:
        """Cards that stand for their number: at most one for each number of an institution."""
        return self.filter(state__in=Card.LIVING)

    def rivals_of(self, card: Card) -> CardQuerySet:
        return self.filter(institution_id=card.institution_id, number=card.number).exclude(pk=card.pk)


class Card(models.Model):
    """A person's library card, and whether it has been proved.

    A second claim on a number is `disputed` until proof or a librarian settles it; being first is no proof.
    """

    class State(models.TextChoices):
        CLAIMED = "claimed", _("to be checked")
        DISPUTED = "disputed", _("disputed")
        CONFIRMED = "confirmed", _("confirmed")
        REFUSED = "refused", _("refused")
        LAPSED = "lapsed", _("lapsed")

    class Refusal(models.TextChoices):
        UNKNOWN = "unknown", _("The library does not know this card number.")
        NOT_YOURS = "not_yours", _("The name does not match the card.")
        EXPIRED = "expired", _("The card is no longer valid.")
        BLOCKED = "blocked", _("The card is blocked at the desk of the library.")
        TAKEN = "taken", _("The library could not see that this card is yours.")
        OTHER = "other", _("The library could not confirm the card.")

    LIVING = (State.CLAIMED, State.CONFIRMED)
    OPEN = (State.CLAIMED, State.DISPUTED, State.CONFIRMED)

    user = models.ForeignKey("libraries.User", on_delete=models.PROTECT, related_name="cards", verbose_name=_("person"))
    library = models.ForeignKey(
        "libraries.Library", on_delete=models.PROTECT, related_name="cards", verbose_name=_("library")
    )
    institution = models.ForeignKey(
        "libraries.Institution", on_delete=models.PROTECT, related_name="cards", verbose_name=_("institution")
    )
    number = models.CharField(_("card number"), max_length=40)
    state = models.CharField(_("state"), max_length=20, choices=State, default=State.CLAIMED)
    claimed_at = models.DateTimeField(_("claimed"))
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)
    decided_by = models.ForeignKey(
        "libraries.User",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decided_how = models.CharField(_("how"), max_length=20, blank=True)
    # The last day. Of a card that has to be checked again because that day is over, the day is kept.
    valid_until = models.DateField(_("valid until"), null=True, blank=True)
    refusal = models.CharField(_("reason"), max_length=20, blank=True, choices=Refusal)
    # Its library's system did not answer when it was given, and has not since.
    unanswered_since = models.DateTimeField(_("no answer since"), null=True, blank=True)
    # When its library last said, unasked by the member, that it is good: for checking proved cards again.
    found_good_at = models.DateTimeField(_("found good"), null=True, blank=True)
    # When its library was last asked for that, whatever it said.
    rechecked_at = models.DateTimeField(null=True, editable=False)

    objects = CardQuerySet.as_manager()

    class Meta:
        verbose_name = _("card")
        verbose_name_plural = _("cards")
        constraints = [
            models.UniqueConstraint(
                fields=["institution", "number"],
                condition=Q(state__in=["claimed", "confirmed"]),
                name="card_number_claimed_once",
            ),
            models.UniqueConstraint(
                fields=["user", "institution", "number"],
                condition=Q(state__in=["claimed", "disputed", "confirmed"]),
                name="card_open_once_per_person",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["claimed", "disputed", "confirmed", "refused", "lapsed"]),
                name="card_state_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["claimed", "disputed"], decided_at=None, decided_how="")
                | (Q(state__in=["confirmed", "refused", "lapsed"], decided_at__isnull=False) & ~Q(decided_how="")),
                name="card_decided_at_and_how",
            ),
            models.CheckConstraint(
                condition=(Q(state="refused") & ~Q(refusal="")) | (~Q(state="refused") & Q(refusal="")),
                name="card_refused_with_reason",
            ),
            models.CheckConstraint(
                condition=Q(decided_by=None) | Q(decided_at__isnull=False), name="card_decided_by_and_at"
            ),
            models.CheckConstraint(
                condition=Q(decided_at=None) | Q(decided_at__gte=F("claimed_at")),
                name="card_decided_after_claim",
            ),
            models.CheckConstraint(condition=Q(number__regex=r"^[0-9A-Z]{1,40}$"), name="card_number_normal"),
        ]
        indexes = [
            models.Index(fields=["institution", "state"], name="card_institution_state"),
            # Every claim asks who else has the number, in whatever state.
            models.Index(fields=["institution", "number"], name="card_institution_number"),
            models.Index(fields=["valid_until"], condition=Q(state="confirmed"), name="card_confirmed_until"),
            models.Index(
                "institution",
                Greatest("found_good_at", "decided_at"),
                condition=Q(state="confirmed"),
                name="card_last_good",
            ),
            models.Index(
                fields=["institution", "valid_until"],
                condition=Q(state__in=["claimed", "confirmed"], valid_until__isnull=False),
                name="card_living_until",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def number_after_erasing(self) -> str:
        """What stands in for the number of a card whose person was erased; never shown to anybody."""
        return f"{ERASED}{self.pk}"

    @property
    def shown_number(self) -> str:
        return gettext("erased") if self.number == self.number_after_erasing else self.number

    @property
    def has_run_out(self) -> bool:
        """It was confirmed until a day that is over, and has to be looked at again."""
        return self.state != self.State.CONFIRMED and self.valid_until is not None

    def is_proved_on(self, day: date) -> bool:
        return self.state == self.State.CONFIRMED and self.is_valid_on(day)

    def is_valid_on(self, day: date) -> bool:
        return self.valid_until is None or self.valid_until >= day
