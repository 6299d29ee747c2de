from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Provider(models.Model):
    """A training company's platform: where its API is, and the name (never the value) of the secret for it."""

    class Kind(models.TextChoices):
        SCIM = "scim", "SCIM 2.0"

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
    calls_per_second = models.PositiveSmallIntegerField(
        _("calls it allows per second"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text=_("From this the portal tells how long the opening of many accounts takes."),
    )

    class Meta:
        verbose_name = _("provider")
        verbose_name_plural = _("providers")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(calls_per_second=None) | Q(calls_per_second__gte=1), name="provider_allows_calls"
            )
        ]

    def __str__(self) -> str:
        return self.name
