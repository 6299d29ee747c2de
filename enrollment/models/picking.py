from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Picking(models.Model):
    """Courses that a member of staff picked at a provider's tool, until they say what becomes of them.

    `items` are as `launch.picked_items` reads them: a list of objects with `title`, `text`, `url`, `code` (texts, empty
    where nothing was told) and `custom` (texts by name).
    """

    # One answer to each question; the question itself is kept for a day alone.
    launch = models.OneToOneField(
        "enrollment.Launch", on_delete=models.SET_NULL, null=True, related_name="picking", editable=False
    )
    tool = models.ForeignKey("catalog.Tool", on_delete=models.CASCADE, related_name="pickings")
    user = models.ForeignKey("libraries.User", on_delete=models.CASCADE, related_name="pickings")
    picked_at = models.DateTimeField(_("picked"))
    items = models.JSONField(default=list)
    # Of what the tool sent, what is no course, or cannot be read.
    left_out = models.PositiveIntegerField(default=0)
    applied_at = models.DateTimeField(_("worked on"), null=True)

    class Meta:
        verbose_name = _("choice of courses")
        verbose_name_plural = _("choices of courses")
        indexes = [models.Index(fields=["tool", "user"], condition=Q(applied_at=None), name="picking_to_work_on")]

    def __str__(self) -> str:
        return f"#{self.pk}"
