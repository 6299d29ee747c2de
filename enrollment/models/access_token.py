from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class AccessToken(models.Model):
    """What a tool shows when it tells of progress. Of the token itself only a hash is kept."""

    tool = models.ForeignKey("catalog.Tool", on_delete=models.CASCADE, related_name="+")
    # SHA-256, in hexadecimal. The token is random enough that nobody finds it by trying.
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=100))
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="access_token_expires_at")]

    def __str__(self) -> str:
        return f"#{self.pk}"
