from __future__ import annotations

from django.db import models


class AddressCode(models.Model):
    """The newest code that was sent to prove a person's address; hashed with that address, so that it proves no
    other."""

    user = models.OneToOneField(
        "libraries.User", on_delete=models.CASCADE, related_name="address_code", primary_key=True
    )
    hashed = models.CharField(max_length=64)
    sent_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"#{self.pk}"
