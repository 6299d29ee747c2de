"""Settings of a site on https, read by a process of its own: what the tests run with is another environment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READ = """
import json, django
from django.conf import settings
django.setup()
names = [name for name in dir(settings) if name.isupper()]
print(json.dumps({name: getattr(settings, name) for name in names}, default=str))
"""


@pytest.fixture(scope="module")
def https() -> dict[str, object]:
    return read({"SITE_URL": "https://leerkaart.example", "TRUSTED_PROXY_COUNT": "1"})


def read(more: dict[str, str]) -> dict[str, object]:
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "SECRET_KEY": "only-for-this-test-" + "0123456789" * 5,
        "DATABASE_URL": "postgres://leerkaart@127.0.0.1:9/leerkaart",
        "REDIS_URL": "redis://127.0.0.1:9/0",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READ],
        cwd=ROOT,
        env=environment | more,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, object] = json.loads(done.stdout)
    return read


def test_debug_and_sandbox_are_off_unless_said(https: dict[str, object]) -> None:
    assert (https["DEBUG"], https["SANDBOX"]) == (False, False)


def test_site_answers_to_its_own_name_alone(https: dict[str, object]) -> None:
    assert https["ALLOWED_HOSTS"] == ["leerkaart.example"]


def test_every_cookie_is_bound_to_this_host_over_https(https: dict[str, object]) -> None:
    kinds = ("SESSION", "CSRF", "LANGUAGE")
    names = {https[f"{kind}_COOKIE_NAME"] for kind in kinds}

    assert names == {"__Host-session", "__Host-csrf", "__Host-language"}
    # The prefix demands all of these; a browser drops the cookie otherwise.
    assert {https[f"{kind}_COOKIE_SECURE"] for kind in kinds} == {True}
    assert {https[f"{kind}_COOKIE_PATH"] for kind in kinds} == {"/"}
    assert {https[f"{kind}_COOKIE_DOMAIN"] for kind in kinds} == {None}
    assert {https[f"{kind}_COOKIE_HTTPONLY"] for kind in kinds} == {True}
    assert {https[f"{kind}_COOKIE_SAMESITE"] for kind in kinds} == {"Lax"}


def test_security_policy_is_strict(https: dict[str, object]) -> None:
    policy = json.dumps(https["CONTENT_SECURITY_POLICY"])

    assert "unsafe" not in policy
    assert "http" not in policy
    assert (https["SECURE_SSL_REDIRECT"], https["SECURE_HSTS_SECONDS"]) == (True, 365 * 24 * 3600)


def test_forwarded_headers_count_only_behind_a_proxy(https: dict[str, object]) -> None:
    alone = read({"SITE_URL": "https://leerkaart.example"})

    assert https["SECURE_PROXY_SSL_HEADER"] == ["HTTP_X_FORWARDED_PROTO", "https"]
    assert (alone["SECURE_PROXY_SSL_HEADER"], alone["ALLAUTH_TRUSTED_PROXY_COUNT"]) == (None, 0)


def test_plain_http_has_plain_cookies() -> None:
    plain = read({"SITE_URL": "http://127.0.0.1:8000"})

    assert (plain["SESSION_COOKIE_NAME"], plain["SESSION_COOKIE_SECURE"]) == ("session", False)
    assert plain["SECURE_SSL_REDIRECT"] is False


def test_limits_live_in_the_database(https: dict[str, object]) -> None:
    caches = https["CACHES"]

    assert isinstance(caches, dict)
    assert caches["default"]["BACKEND"] == "django.core.cache.backends.db.DatabaseCache"
    assert https["SESSION_ENGINE"] == "django.contrib.sessions.backends.db"


def test_times_are_stored_in_utc_and_shown_in_brussels(https: dict[str, object]) -> None:
    assert (https["USE_TZ"], https["TIME_ZONE"], https["LANGUAGE_CODE"]) == (True, "Europe/Brussels", "nl")


def test_identity_providers_come_from_the_environment_alone(https: dict[str, object]) -> None:
    told = {"ISSUER": "https://account.example", "NAME": "UiTiD", "CLIENT_ID": "us", "CLIENT_SECRET": "secret"}
    named = {f"OIDC_UITID_{name}": value for name, value in told.items()}
    with_one = read({"SITE_URL": "https://leerkaart.example", "OIDC_PROVIDERS": "uitid", **named})

    assert https["SOCIALACCOUNT_PROVIDERS"] == {"openid_connect": {"APPS": [], "OAUTH_PKCE_ENABLED": True}}
    assert [app["name"] for app in with_one["SOCIALACCOUNT_PROVIDERS"]["openid_connect"]["APPS"]] == ["UiTiD"]  # type: ignore[index]
    assert (https["SOCIALACCOUNT_STORE_TOKENS"], https["SOCIALACCOUNT_LOGIN_ON_GET"]) == (False, False)
    assert https["SOCIALACCOUNT_EMAIL_AUTHENTICATION"] is False
