"""A comparison with a provider's own list, and what differed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from enrollment.models.owed import OwedQuerySet, OwedWork


class ReconciliationQuerySet(OwedQuerySet["Reconciliation"]):
    def trusted(self) -> ReconciliationQuerySet:
        return self.filter(Q(doubt="") | Q(trusted_by__isnull=False), finished_at__isnull=False)


class Reconciliation(OwedWork):
    """Owed until the provider's whole list was read and compared. Its differences can be acted upon while it is
    trusted: `doubt` says why it is not."""

    class Doubt(models.TextChoices):
        EMPTY = "empty", _("the list is empty")
        CUT_SHORT = "cut_short", _("the list was cut short")
        SHRUNK = "shrunk", _("the list differs too much from the last one")

    provider = models.ForeignKey(
        "catalog.Provider", on_delete=models.PROTECT, related_name="reconciliations", verbose_name=_("provider")
    )
    asked_by = models.ForeignKey(
        "libraries.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("asked by")
    )
    asked_at = models.DateTimeField(_("asked"))
    finished_at = models.DateTimeField(_("finished"), null=True, blank=True)
    listed = models.PositiveIntegerField(_("accounts on the list"), default=0)
    ours = models.PositiveIntegerField(_("of which ours"), default=0)
    doubt = models.CharField(_("why it is not trusted"), max_length=20, choices=Doubt, blank=True)
    trusted_by = models.ForeignKey("libraries.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")

    objects = ReconciliationQuerySet.as_manager()

    class Meta:
        verbose_name = _("comparison with the provider")
        verbose_name_plural = _("comparisons with providers")
        constraints = [
            models.UniqueConstraint(
                fields=["provider"], condition=Q(due_at__isnull=False, stuck_at=None), name="reconciliation_one_at_once"
            )
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def is_trusted(self) -> bool:
        return self.finished_at is not None and (not self.doubt or self.trusted_by_id is not None)


class ListedAccount(models.Model):
    """An account as the provider's list showed it, kept while it is compared; what is personal only as a hash."""

    reconciliation = models.ForeignKey("enrollment.Reconciliation", on_delete=models.CASCADE, related_name="+")
    remote_id = models.CharField(max_length=200)
    external_id = models.CharField(max_length=200, blank=True)
    active = models.BooleanField()
    email_hash = models.CharField(max_length=32, blank=True)
    name_hash = models.CharField(max_length=32, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["reconciliation", "remote_id"], name="listed_once"),
        ]
        indexes = [models.Index(fields=["reconciliation", "external_id"], name="listed_by_our_id")]

    def __str__(self) -> str:
        return f"#{self.pk}"


class Difference(models.Model):
    class Kind(models.TextChoices):
        ONLY_HERE = "only_here", _("only here")
        ONLY_THERE = "only_there", _("only there")
        OTHER_DATA = "other_data", _("other email address or name")
        OPEN_THERE = "open_there", _("open there, to be closed")
        CLOSED_THERE = "closed_there", _("closed there, to be open")
        TWO_THERE = "two_there", _("two there")
        ADOPTED = "adopted", _("taken over by somebody else")

    class Repair(models.TextChoices):
        AGREE = "agree", _("make the provider agree")
        ERASE = "erase", _("erase it there")
        LOOK = "look", _("somebody has to look")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        REPAIRED = "repaired", _("being repaired")
        LEFT = "left", _("left as it is")
        GONE = "gone", _("no longer so")

    reconciliation = models.ForeignKey(
        "enrollment.Reconciliation", on_delete=models.CASCADE, related_name="differences"
    )
    kind = models.CharField(_("difference"), max_length=20, choices=Kind)
    account = models.ForeignKey(
        "enrollment.ProviderAccount", on_delete=models.CASCADE, null=True, blank=True, related_name="differences"
    )
    remote_id = models.CharField(_("the provider's id"), max_length=200, blank=True)
    # What differs, by the names of the fields, never by what stands in them.
    fields = models.CharField(_("what differs"), max_length=100, blank=True)
    repair = models.CharField(_("proposal"), max_length=10, choices=Repair)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    decided_by = models.ForeignKey("libraries.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(_("decided"), null=True, blank=True)

    class Meta:
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        constraints = [
            models.CheckConstraint(
                condition=Q(state="open", decided_at=None) | (~Q(state="open") & Q(decided_at__isnull=False)),
                name="difference_decided_when",
            )
        ]
        indexes = [models.Index(fields=["reconciliation", "kind", "id"], name="difference_of_kind")]

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def differing(self) -> str:
        """What differs, in words."""
        words = {"email": _("email address"), "name": _("name"), "id": _("the provider's id")}
        return ", ".join(str(words[field]) for field in self.fields.split() if field in words)
