from __future__ import annotations

from django.db import models


class Attempt(models.Model):
    """How often something limited was tried in the current window; the key is a keyed hash, never an address."""

    key = models.CharField(max_length=64, primary_key=True)
    since = models.DateTimeField()
    count = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["since"], name="attempt_since")]

    def __str__(self) -> str:
        return self.key
