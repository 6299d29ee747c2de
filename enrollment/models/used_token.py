from __future__ import annotations

from django.db import models


class UsedToken(models.Model):
    """Something a tool signed that counts once (`jti`, or a nonce): kept for as long as it would be believed again."""

    tool = models.ForeignKey("catalog.Tool", on_delete=models.CASCADE, related_name="+")
    # SHA-256, in hexadecimal: what a tool chooses to write may be long, or say something.
    digest = models.CharField(max_length=64)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tool", "digest"], name="used_token_once")]
        indexes = [models.Index(fields=["expires_at"], name="used_token_expires_at")]

    def __str__(self) -> str:
        return f"#{self.pk}"
