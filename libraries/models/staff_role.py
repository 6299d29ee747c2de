from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class StaffRole(models.Model):
    """What a person may do in the workplace, and for which institution (None: for all)."""

    class Role(models.TextChoices):
        LIBRARIAN = "librarian", _("librarian")
        COORDINATOR = "coordinator", _("coordinator")
        OPERATOR = "operator", _("operator")
        AUDITOR = "auditor", _("auditor")

    user = models.ForeignKey(
        "libraries.User", on_delete=models.CASCADE, related_name="staff_roles", verbose_name=_("person")
    )
    role = models.CharField(_("role"), max_length=20, choices=Role)
    institution = models.ForeignKey(
        "libraries.Institution",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="staff_roles",
        verbose_name=_("institution"),
    )

    class Meta:
        verbose_name = _("role")
        verbose_name_plural = _("roles")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "institution"], nulls_distinct=False, name="staff_role_once"
            ),
            models.CheckConstraint(
                condition=Q(role="librarian", institution__isnull=False)
                | Q(role__in=["coordinator", "operator", "auditor"], institution=None),
                name="staff_role_institution",
            ),
        ]

    def __str__(self) -> str:
        return self.get_role_display()
