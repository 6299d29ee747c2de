from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Provider(models.Model):
    """A training company's platform: where its API is, and the name (never the value) of the secret for it."""

    class Kind(models.TextChoices):
        SCIM = "scim", "SCIM 2.0"
        MOODLE = "moodle", "Moodle"

    class OpensFirst(models.TextChoices):
        OLDEST = "oldest", _("who has waited longest")
        NEWEST = "newest", _("who came last")

    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=20, choices=Kind, default=Kind.SCIM)
    base_url = models.URLField(_("address of the API"), max_length=300)
    start_url = models.URLField(_("where members start"), max_length=300)
    secret_name = models.CharField(
        _("name of the secret"),
        max_length=100,
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_]*$", _("Write the name of an environment variable."))],
        help_text=_("The environment variable that holds the token; the token itself is never stored."),
    )
    webhook_secret_name = models.CharField(
        _("name of the secret of its notices"),
        max_length=100,
        blank=True,
        validators=[RegexValidator(r"^[A-Z][A-Z0-9_]*$", _("Write the name of an environment variable."))],
        help_text=_(
            "The environment variable with the secret that the provider's notices are signed with. Empty: none."
        ),
    )
    calls_per_second = models.PositiveSmallIntegerField(
        _("calls it allows per second"),
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text=_("All workers together never make more."),
    )
    calls_at_once = models.PositiveSmallIntegerField(
        _("calls it allows at once"), default=10, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    opens_first = models.CharField(
        _("whose account is opened first"), max_length=10, choices=OpensFirst, default=OpensFirst.OLDEST
    )
    fuse_percent = models.PositiveSmallIntegerField(
        _("largest difference from the last list, in percent"),
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text=_("When the provider's list differs more, nothing is closed or erased until somebody has looked."),
    )

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(calls_per_second__gte=1, calls_at_once__gte=1), name="provider_allows_calls"
            ),
            models.CheckConstraint(
                condition=Q(fuse_percent__gte=1, fuse_percent__lte=100), name="provider_fuse_percent"
            ),
        ]

    def __str__(self) -> str:
        return self.name
