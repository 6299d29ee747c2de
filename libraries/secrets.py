"""The values of secrets that rows only name."""

import os
from pathlib import Path

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _

_OF_THE_PORTAL = frozenset({"SECRET_KEY", "SECRET_KEY_FALLBACKS", "DATABASE_URL", "REDIS_URL", "EMAIL_URL"})


def is_of_the_portal(name: str) -> bool:
    """Never a row's to name: whoever may name a secret also says where it is sent."""
    return name in _OF_THE_PORTAL or name.startswith("OIDC_")


def refuse_the_portals(name: str) -> None:
    """Raises ValidationError."""
    if is_of_the_portal(name):
        raise ValidationError(_("This is a secret of the portal itself. It may not be sent anywhere."))


NAME_VALIDATORS = (
    RegexValidator(r"^[A-Z][A-Z0-9_]*$", _("Write the name of an environment variable.")),
    refuse_the_portals,
)


def secret_of(name: str) -> str:
    """From the environment, or from the file that NAME_FILE names. Raises LookupError when neither is there."""
    if value := find_secret(name):
        return value
    raise LookupError(name)


def find_secret(name: str) -> str:
    """The same; empty when it is not there, or cannot be read, or is the portal's own."""
    if is_of_the_portal(name):
        return ""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return os.environ.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip() or os.environ.get(name, "")
    except (OSError, UnicodeDecodeError):
        return os.environ.get(name, "")
