from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class SignOnClient(models.Model):
    """A provider's platform that its members are signed in at by the portal (OpenID Connect), without LTI.

    `client` is the library's own row, with the hash of the secret. What it allows is decided by this row.
    """

    provider = models.OneToOneField(
        "catalog.Provider", on_delete=models.PROTECT, related_name="sign_on", verbose_name=_("provider")
    )
    client = models.OneToOneField("allauth_idp_oidc.Client", on_delete=models.CASCADE, related_name="+", editable=False)
    # Compared to the letter.
    redirect_uris = ArrayField(
        models.URLField(max_length=500), verbose_name=_("addresses an answer may go to"), size=20
    )
    needs_pkce = models.BooleanField(
        _("asks with PKCE"),
        default=True,
        help_text=_("Turn this off only for a platform that cannot do it: PKCE (S256) makes a stolen answer useless."),
    )
    is_on = models.BooleanField(_("in use"), default=True)

    class Meta:
        verbose_name = _("single sign-on")
        verbose_name_plural = _("single sign-ons")
        constraints = [
            models.CheckConstraint(condition=Q(redirect_uris__len__gt=0), name="sign_on_has_redirect_uris"),
        ]

    def __str__(self) -> str:
        return str(self.provider)
