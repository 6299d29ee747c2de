from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from enrollment.models.owed import OwedQuerySet, OwedWork


class ProviderNoticeQuerySet(OwedQuerySet["ProviderNotice"]):
    pass


class ProviderNotice(OwedWork):
    """What a provider told by a webhook, stored before it is worked on. Ids, codes and numbers; nothing personal."""

    class Kind(models.TextChoices):
        ACCOUNT_CLOSED = "account.closed", _("account closed")
        ACCOUNT_CHANGED = "account.changed", _("account changed")
        PROGRESS = "progress", _("progress")

    provider = models.ForeignKey(
        "catalog.Provider", on_delete=models.PROTECT, related_name="notices", verbose_name=_("provider")
    )
    notice_id = models.CharField(_("the provider's number"), max_length=100)
    kind = models.CharField(_("what"), max_length=20, choices=Kind)
    received_at = models.DateTimeField(_("received"))
    occurred_at = models.DateTimeField(_("happened"))
    # At least one of them says whose it is, until the person is erased.
    external_id = models.UUIDField(_("our id"), null=True, blank=True)
    remote_id = models.CharField(_("the provider's id"), max_length=200, blank=True)
    course_code = models.CharField(_("course"), max_length=50, blank=True)
    percent = models.PositiveSmallIntegerField(_("progress"), null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)

    objects = ProviderNoticeQuerySet.as_manager()

    class Meta:
        verbose_name = _("notice of the provider")
        verbose_name_plural = _("notices of providers")
        constraints = [
            models.UniqueConstraint(fields=["provider", "notice_id"], name="notice_once"),
            models.CheckConstraint(
                condition=models.Q(percent=None) | models.Q(percent__lte=100), name="notice_percent_at_most_100"
            ),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="notice_due"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk}"
