"""What is known of the line to a provider: who may call when, whether it is down, and how calls went."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class ProviderLine(models.Model):
    """One row for each provider, shared by all workers; `catalog.line` and `catalog.breaker` write it."""

    provider = models.OneToOneField("catalog.Provider", on_delete=models.CASCADE, primary_key=True, related_name="line")
    # --- The allowance: moments in microseconds since 1970 ---
    # When the last calls left or will leave, as many as are allowed in a second.
    departures: ArrayField[list[int], list[int]] = ArrayField(models.BigIntegerField(), default=list)
    # Calls under way: for each the moment by which it is over at the latest.
    under_way: ArrayField[list[int], list[int]] = ArrayField(models.BigIntegerField(), default=list)
    # The provider asked for a pause until then (429, 503 with Retry-After).
    paused_until = models.DateTimeField(null=True)
    # --- The breaker ---
    failures = models.PositiveIntegerField(default=0)  # one after another
    failed_writes = models.PositiveIntegerField(default=0)  # one after another, whatever was read between them
    successes = models.PositiveIntegerField(default=0)  # since it came back
    down_since = models.DateTimeField(null=True)
    next_probe_at = models.DateTimeField(null=True)
    probes = models.PositiveIntegerField(default=0)  # since it went down
    # A probe was granted, and its call has not left yet.
    probing = models.BooleanField(default=False)
    # How often it went down or came back: a call that began before tells nothing of how things are now.
    epoch = models.PositiveIntegerField(default=0)
    # --- What people read ---
    last_success_at = models.DateTimeField(null=True)
    last_trouble_at = models.DateTimeField(null=True)
    last_trouble = models.CharField(max_length=50, blank=True)
    # Letters to the operator that were owed for what still lasts; None: it is over.
    down_told_at = models.DateTimeField(null=True)
    stuck_told_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"#{self.pk}"


class CallTally(models.Model):
    """Calls of one minute that ended alike, by how long they took: `buckets` is a count for each of
    `catalog.tallies.BUCKETS`."""

    provider = models.ForeignKey("catalog.Provider", on_delete=models.CASCADE, related_name="tallies")
    minute = models.DateTimeField()
    outcome = models.CharField(max_length=50, blank=True)  # empty: answered as hoped; else the code of the error
    count = models.PositiveIntegerField(default=0)
    buckets: ArrayField[list[int], list[int]] = ArrayField(models.IntegerField())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "minute", "outcome"], name="tally_once_a_minute"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
