from __future__ import annotations

from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


def new_client_id() -> str:
    return str(uuid4())


class Tool(models.Model):
    """A provider's platform as an LTI 1.3 tool: what both sides tell each other when they are registered.

    The portal is the platform (LTI 1.3 core, 3.1). `client_id` and `deployment_id` are given by the portal; the
    addresses and the keys are the tool's.
    """

    provider = models.OneToOneField(
        "catalog.Provider", on_delete=models.PROTECT, related_name="tool", verbose_name=_("provider")
    )
    client_id = models.CharField(_("client id"), max_length=100, unique=True, default=new_client_id)
    deployment_id = models.CharField(_("deployment id"), max_length=100, default="1")
    login_url = models.URLField(_("address where a start begins"), max_length=500)
    launch_url = models.URLField(_("address of the tool"), max_length=500)
    # Compared to the letter: an answer goes nowhere else.
    redirect_uris = ArrayField(
        models.URLField(max_length=500), verbose_name=_("addresses an answer may go to"), size=20
    )
    deep_linking_url = models.URLField(_("address where courses are picked"), max_length=500, blank=True)
    keyset_url = models.URLField(_("address of the tool's keys"), max_length=500, blank=True)
    keyset = models.JSONField(_("the tool's keys"), null=True, blank=True)
    is_on = models.BooleanField(_("in use"), default=True)

    class Meta:
        verbose_name = _("tool")
        verbose_name_plural = _("tools")
        constraints = [
            models.CheckConstraint(condition=~Q(keyset_url="") | Q(keyset__isnull=False), name="tool_has_keys"),
            models.CheckConstraint(condition=Q(redirect_uris__len__gt=0), name="tool_has_redirect_uris"),
        ]

    def __str__(self) -> str:
        return str(self.provider)
