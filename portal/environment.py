"""What the environment says, read once; a missing or malformed value fails at start and is named."""

import os
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

env = environ.Env()


def required(name: str) -> str:
    """The value of a variable, or of the file that NAME_FILE names (as container secrets are handed over)."""
    from_file = os.environ.get(f"{name}_FILE")
    value = Path(from_file).read_text(encoding="utf-8").strip() if from_file else os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set: give it in the environment, or a file's path in {name}_FILE")
    return value


def secret_key() -> str:
    value = required("SECRET_KEY")
    if len(value) < 50:
        raise ImproperlyConfigured("SECRET_KEY is too short: use 50 random characters or more")
    return value


def site_url() -> str:
    """The one address in links of letters; never taken from a request, so that a forged Host cannot poison it."""
    value = required("SITE_URL").rstrip("/")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise ImproperlyConfigured("SITE_URL must be an address like https://leerkaart.example, without a path")
    return value


def database() -> dict[str, object]:
    value = required("DATABASE_URL")
    config: dict[str, object] = environ.Env.db_url_config(value)
    if config.get("ENGINE") != "django.db.backends.postgresql":
        raise ImproperlyConfigured("DATABASE_URL must begin with postgres://: PostgreSQL is the only database")
    return config | {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}


def redis_url() -> str:
    value = required("REDIS_URL")
    if urlsplit(value).scheme not in ("redis", "rediss", "unix"):
        raise ImproperlyConfigured("REDIS_URL must begin with redis:// or rediss://")
    return value


def positive(name: str, *, default: int) -> int:
    value = env.int(name, default=default)
    if value < 0:
        raise ImproperlyConfigured(f"{name} must not be negative")
    return int(value)
