from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Erasure(models.Model):
    """A person's wish to be forgotten: it outlives what it erases, and holds nothing personal. Its page, the
    certificate, is found by `code` alone."""

    code = models.CharField(max_length=40, unique=True, editable=False)
    # Plain: the row of the person stays, with nothing of theirs in it.
    user_id = models.BigIntegerField(_("person"), unique=True)
    asked_at = models.DateTimeField(_("asked"))
    # None: the person did, or a list of erasures after a restore.
    asked_by_id = models.BigIntegerField(_("asked by"), null=True)
    # When it was written to the list outside the database (`erasure_list`), which a restore does not forget.
    listed_at = models.DateTimeField(_("on the list of erasures"), null=True, blank=True)
    erased_here_at = models.DateTimeField(_("erased here"), null=True, blank=True)
    finished_at = models.DateTimeField(_("erased everywhere"), null=True, blank=True)

    class Meta:
        verbose_name = _("erasure")
        verbose_name_plural = _("erasures")

    def __str__(self) -> str:
        return f"#{self.pk}"
