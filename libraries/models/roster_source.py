from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from libraries.secrets import NAME_VALIDATORS


class RosterSource(models.Model):
    """Where an institution's list of valid cards is fetched from at night. Its secret is named here, never kept."""

    class Way(models.TextChoices):
        FOLDER = "folder", _("a file in the watched folder")
        DOWNLOAD = "download", _("a download")

    institution = models.OneToOneField(
        "libraries.Institution", on_delete=models.CASCADE, related_name="roster_source", verbose_name=_("institution")
    )
    way = models.CharField(_("where the list comes from"), max_length=20, choices=Way, default=Way.FOLDER)
    address = models.CharField(
        _("address"), max_length=300, blank=True, help_text=_("Of a download: it begins with https://.")
    )
    login = models.CharField(_("login name"), max_length=100, blank=True)
    secret_name = models.CharField(
        _("name of the secret"),
        max_length=100,
        blank=True,
        validators=NAME_VALIDATORS,
        help_text=_("The environment variable that holds the password of the login; it is never stored here."),
    )
    tried_at = models.DateTimeField(_("last tried"), null=True, editable=False)
    # When the list that was made from it was last found to be the newest one, and the SHA-256 of its file.
    fetched_at = models.DateTimeField(_("last fetched"), null=True, editable=False)
    fingerprint = models.CharField(max_length=64, blank=True, editable=False)
    # That list: in force as long as nobody uploads another one by hand.
    roster = models.ForeignKey(
        "libraries.Roster", on_delete=models.SET_NULL, null=True, editable=False, related_name="+"
    )
    # A code of enrollment.roster_fetching; empty when the last try went well.
    trouble = models.CharField(_("what went wrong"), max_length=50, blank=True, editable=False)
    # The fuse: the file of this fingerprint would take away too much, and is not taken unless an operator allows it.
    stopped_at = models.DateTimeField(_("stopped since"), null=True, editable=False)
    stopped_fingerprint = models.CharField(max_length=64, blank=True, editable=False)
    allowed_fingerprint = models.CharField(max_length=64, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = _("source of a list of cards")
        verbose_name_plural = _("sources of lists of cards")
        ordering = ["institution__name"]
        constraints = [
            models.CheckConstraint(condition=Q(way="folder") | ~Q(address=""), name="roster_source_address"),
            models.CheckConstraint(
                condition=Q(stopped_at=None, stopped_fingerprint="")
                | (Q(stopped_at__isnull=False) & ~Q(stopped_fingerprint="")),
                name="roster_source_stopped",
            ),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
