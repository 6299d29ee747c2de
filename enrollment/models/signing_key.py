from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SigningKey(models.Model):
    """A key that the portal signs its messages to tools with. It signs from its moment until the next one's."""

    # Its thumbprint (RFC 7638), which says nothing of the private part.
    kid = models.CharField(_("name of the key"), max_length=43, unique=True)
    public = models.JSONField(_("public part"))
    # The private part, encrypted (`launch.keys`).
    sealed = models.TextField(editable=False)
    made_at = models.DateTimeField(_("made"))
    signs_from = models.DateTimeField(_("signs from"))

    class Meta:
        verbose_name = _("signing key")
        verbose_name_plural = _("signing keys")
        ordering = ["signs_from", "id"]

    def __str__(self) -> str:
        return f"#{self.pk}"
