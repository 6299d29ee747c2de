"""Where the portal is found as an LTI 1.3 platform: told to a provider when its tool is registered, never to change."""

from django.conf import settings

AUTHORIZATION = "lti/authorize"
KEYSET = "lti/keys.json"
TOKEN = "lti/token"
LINE_ITEM = "lti/line-items/<int:course_id>"
SCORES = "lti/line-items/<int:course_id>/scores"
DEEP_LINKING_RETURN = "lti/picked"


def issuer() -> str:
    """The platform's name in every message (`iss`)."""
    return str(settings.SITE_URL)


def authorization() -> str:
    return f"{settings.SITE_URL}/{AUTHORIZATION}"


def keyset() -> str:
    return f"{settings.SITE_URL}/{KEYSET}"


def token() -> str:
    return f"{settings.SITE_URL}/{TOKEN}"


def deep_linking_return() -> str:
    return f"{settings.SITE_URL}/{DEEP_LINKING_RETURN}"


def line_item(course_id: int) -> str:
    """Of a course, for all its members (AGS 2.0, 3.2); scores are posted to this address and "/scores" (3.4.3)."""
    return f"{settings.SITE_URL}/lti/line-items/{course_id}"
