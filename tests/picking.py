"""Courses picked at a provider: the way there and back, for the tests of it."""

from __future__ import annotations

import time
from itertools import count
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from catalog.models import Tool
from enrollment.launch import addresses
from enrollment.launch.messages import LTI
from enrollment.launch.picking import DEEP_LINKING
from tests.launches import ask, posted_by, side_of
from tests.lti_tool import Visit, query_of
from tests.tools import CLIENT_ID, new_client, signed

_number = count(1)


def item(number: int = 1, **changes: Any) -> dict[str, Any]:
    told = {
        "type": "ltiResourceLink",
        "title": f"Course {number}",
        "url": f"https://tool.test/launch/{number}",
        "custom": {"code": f"T-{number}"},
        **changes,
    }
    return {name: value for name, value in told.items() if value is not None}


def go(client: Client, tool: Tool) -> dict[str, Any]:
    """To the tool, which checks what it is asked with a library of its own: the claims."""
    begun = client.post(f"/en/admin/catalog/tool/{tool.pk}/pick/")
    assert begun.status_code == 302, begun.content
    visit, side = Visit(), side_of(tool)
    address = side.login(query_of(begun["Location"]), visit)
    _where, posted = posted_by(ask(client, address.partition("?")[2]))
    claims: dict[str, Any] = side.launch(posted, visit)
    return claims


def answer_to(asked: dict[str, Any], *items: Any, **changes: Any) -> dict[str, Any]:
    """What the tool tells, of these items; what is changed to None is left out. Names of claims stand without their
    addresses."""
    now = int(time.time())
    told = {
        "iss": CLIENT_ID,
        "aud": addresses.issuer(),
        "iat": now,
        "exp": now + 300,
        "nonce": f"nonce-{next(_number)}",
        f"{LTI}message_type": "LtiDeepLinkingResponse",
        f"{LTI}version": "1.3.0",
        f"{LTI}deployment_id": "1",
        f"{DEEP_LINKING}data": asked[f"{DEEP_LINKING}deep_linking_settings"]["data"],
        f"{DEEP_LINKING}content_items": list(items),
    }
    names = {name.rpartition("/")[2]: name for name in told}
    told |= {names.get(name, name): value for name, value in changes.items()}
    return {name: value for name, value in told.items() if value is not None}


def post(told: dict[str, Any] | str, **how: Any) -> Any:
    """From a browser that shows no cookie here."""
    token = told if isinstance(told, str) else signed(told, **how)
    body = urlencode({"JWT": token})
    return new_client().post("/lti/picked", body, content_type="application/x-www-form-urlencoded")
