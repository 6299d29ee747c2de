"""What the environment says, read once; a missing or malformed value fails at start and is named.

Errors never repeat a value: it may hold a password.
"""

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import environ
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.exceptions import ImproperlyConfigured

_YES, _NO = ("1", "on", "true", "yes"), ("0", "off", "false", "no", "")


def optional(name: str, *, default: str = "") -> str:
    """The value of a variable, or of the file that NAME_FILE names (as container secrets are handed over)."""
    from_file = os.environ.get(f"{name}_FILE")
    if not from_file:
        return os.environ.get(name, "") or default
    try:
        return Path(from_file).read_text(encoding="utf-8").strip() or default
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {type(error).__name__}") from None


def required(name: str) -> str:
    value = optional(name)
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: give it in the environment, or a file's path in {name}_FILE")
    return value


@contextlib.contextmanager
def _malformed(name: str, wanted: str) -> Iterator[None]:
    """Whatever a parser says of the value becomes one error that names the variable, not the value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (ValueError, LookupError, ImproperlyConfigured):
            raise ImproperlyConfigured(f"{name} {wanted}") from None


def secret_key() -> str:
    value = required("SECRET_KEY")
    if len(value) < 50:
        raise ImproperlyConfigured("SECRET_KEY is too short: use 50 random characters or more")
    return value


def earlier_secret_keys() -> list[str]:
    """The newest first; they are as secret as the one in force."""
    return optional("SECRET_KEY_FALLBACKS").replace(",", " ").split()


def site_url() -> str:
    """The one address in links of letters; never taken from a request, so that a forged Host cannot poison it."""
    value = required("SITE_URL").rstrip("/")
    with _malformed("SITE_URL", "must be an address like https://leerkaart.example, without a path"):
        parts = urlsplit(value)
        beyond = parts.path or parts.query or parts.fragment or "@" in parts.netloc or parts.port == 0
        if parts.scheme not in ("http", "https") or not parts.hostname or beyond:
            raise ValueError
    return value


def allowed_hosts(site: str) -> list[str]:
    """The site's own host unless told otherwise."""
    given = [host.strip() for host in optional("ALLOWED_HOSTS").split(",") if host.strip()]
    return given or [urlsplit(site).hostname or ""]


def database() -> dict[str, object]:
    value = required("DATABASE_URL")
    with _malformed("DATABASE_URL", "must begin with postgres:// and name a database: PostgreSQL is the only one"):
        config: dict[str, object] = environ.Env.db_url_config(value)
        if config.get("ENGINE") != "django.db.backends.postgresql" or not config.get("NAME"):
            raise ValueError
    return config | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}


def redis_url() -> str:
    value = required("REDIS_URL")
    with _malformed("REDIS_URL", "must be an address like redis://host:6379/0 (or rediss://)"):
        parts = urlsplit(value)
        if parts.scheme not in ("redis", "rediss", "unix") or parts.port == 0:
            raise ValueError
    return value


def email() -> dict[str, object]:
    value = optional("EMAIL_URL", default="smtp://localhost:25")
    with _malformed("EMAIL_URL", "must be an address like smtp+tls://user:password@host:587"):
        return dict(environ.Env.email_url_config(value))


def flag(name: str) -> bool:
    """Off unless said; a word that is neither yes nor no is refused rather than taken for no."""
    value = optional(name).lower()
    if value not in _YES + _NO:
        raise ImproperlyConfigured(f"{name} must be on or off")
    return value in _YES


def positive(name: str, *, default: int) -> int:
    with _malformed(name, "must be a number, 0 or more"):
        value = int(optional(name, default=str(default)))
        if value < 0:
            raise ValueError
    return value


def log_level() -> str:
    value = optional("LOG_LEVEL", default="INFO").upper()
    if value not in logging.getLevelNamesMapping():
        raise ImproperlyConfigured("LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return value


def identity_providers() -> list[dict[str, object]]:
    """The sites whose identities people may sign in with, as allauth takes them: those that OIDC_PROVIDERS names."""
    names = [name.strip() for name in optional("OIDC_PROVIDERS").split(",") if name.strip()]
    with _malformed("OIDC_PROVIDERS", "must be short names of lower-case letters and digits, with commas between"):
        if len(set(names)) < len(names) or not all(re.fullmatch(r"[a-z][a-z0-9]{0,29}", name) for name in names):
            raise ValueError
    return [_identity_provider(name, f"OIDC_{name.upper()}") for name in names]


def _identity_provider(name: str, prefix: str) -> dict[str, object]:
    issuer = required(f"{prefix}_ISSUER")
    with _malformed(f"{prefix}_ISSUER", "must be an address like https://account.example/realms/name"):
        origin = _origin(issuer)
        if len(issuer) > 200 or not re.fullmatch(r"[A-Za-z0-9._~/-]*", issuer.removeprefix(origin)):
            raise ValueError
    shown = required(f"{prefix}_NAME")
    with _malformed(f"{prefix}_NAME", "must be one line of at most 40 characters"):
        if len(shown) > 40 or not shown.isprintable():
            raise ValueError
    with _malformed(f"{prefix}_ORIGINS", "must be addresses like https://login.example, with commas between"):
        more = [each.strip() for each in optional(f"{prefix}_ORIGINS").split(",") if each.strip()]
        if any(_origin(each) != each for each in more):
            raise ValueError
    return {
        "provider_id": name,
        "name": shown,
        "client_id": required(f"{prefix}_CLIENT_ID"),
        "secret": required(f"{prefix}_CLIENT_SECRET"),
        "settings": {"server_url": issuer, "origins": [origin, *more]},
    }


_ORIGIN = re.compile(r"(?:https://[a-z0-9.-]+|http://(?:localhost|127\.0\.0\.1))(?::\d{1,5})?(?=/|$)")


def _origin(address: str) -> str:
    """The scheme and host of an address on https, or on this machine itself. Raises ValueError."""
    found = _ORIGIN.match(address)
    if found is None:
        raise ValueError
    return found[0]


_PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)


def sign_on_keys() -> list[dict[str, object]]:
    """Those that members' sign-ons at providers are signed with, as allauth takes them: the first signs, the others are
    only published. None: nobody is signed in elsewhere."""
    text = optional("SIGN_ON_KEY").replace("\\n", "\n")  # in a file of variables it stands on one line
    with _malformed("SIGN_ON_KEY", "must be private RSA keys of 2048 bits or more, in PEM, without a password"):
        keys = [found[0] for found in _PEM.finditer(text)]
        if bool(text) != bool(keys) or not all(_is_strong(key) for key in keys):
            raise ValueError
    return [{"pem": key} for key in keys]


def _is_strong(pem: str) -> bool:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (TypeError, UnsupportedAlgorithm):  # it wants a password, or nobody knows its kind
        return False
    return isinstance(key, RSAPrivateKey) and key.key_size >= 2048
