"""A provider's tool, for its page in the workplace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from catalog.models import Tool
from enrollment import tool_checks
from enrollment.launch import addresses, picking
from enrollment.models import Picking
from libraries.models import User

# In the words that the forms of tools have, which are English everywhere, beside ours.
Told = tuple[str, str, str]
MOST_PICKED = 5


def facts_of(tool: Tool, *, by: User) -> dict[str, Any]:
    """Of a tool whose provider is loaded; with one query."""
    waiting = Picking.objects.filter(tool=tool, user=by, applied_at=None).exclude(items=[])
    return {
        "title": tool.provider.name,
        "subtitle": None,
        "tool": tool,
        "told": told(tool),
        "may_test": tool_checks.may_test(by),
        "cannot_pick": picking.obstacle(tool, by),
        "picked": list(waiting.order_by("-pk")[:MOST_PICKED]),
    }


def told(tool: Tool) -> Sequence[Told]:
    """What the provider has to be told: in our words, in those of the protocol, and the value."""
    first, *others = told_before()
    return [
        first,
        (_("name of the tool at the portal"), "client id", tool.client_id),
        (_("number of the connection"), "deployment id", tool.deployment_id),
        *others,
    ]


def told_before() -> Sequence[Told]:
    """What is known before anything is registered."""
    return [
        (_("name of the portal"), "issuer, platform id", addresses.issuer()),
        (_("address where it asks who came"), "authorization endpoint, OIDC auth URL", addresses.authorization()),
        (_("address of our keys"), "public keyset URL, JWKS URL", addresses.keyset()),
        (_("address for tokens"), "access token URL", addresses.token()),
    ]


def told_for_sign_on(client_id: str = "") -> Sequence[Told]:
    """What a platform has to be told that members are signed in at by OpenID Connect."""
    site = addresses.issuer()
    told = [
        (_("name of the portal"), "issuer", site),
        (_("address where all the others stand"), "discovery URL", f"{site}/.well-known/openid-configuration"),
        (_("what it may ask for"), "scope", "openid profile email"),
    ]
    return [(_("name of the platform at the portal"), "client id", client_id), *told] if client_id else told
