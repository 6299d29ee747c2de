"""What is missing or malformed in the environment is named at start, and never repeated: it may hold a password."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal import environment

SECRET = "s3cret-in-the-value"


def refusal(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> str:
    readers = {
        "SECRET_KEY": environment.secret_key,
        "SITE_URL": environment.site_url,
        "DATABASE_URL": environment.database,
        "REDIS_URL": environment.redis_url,
        "EMAIL_URL": environment.email,
        "DEBUG": lambda: environment.flag("DEBUG"),
        "TRUSTED_PROXY_COUNT": lambda: environment.positive("TRUSTED_PROXY_COUNT", default=0),
        "LOG_LEVEL": environment.log_level,
    }
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as raised:
        readers[name]()
    return str(raised.value)


@pytest.mark.parametrize("name", ["SECRET_KEY", "SITE_URL", "DATABASE_URL", "REDIS_URL"])
def test_required_variable_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(name, "", monkeypatch) == (
        f"{name} is not set: give it in the environment, or a file's path in {name}_FILE"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", SECRET),
        ("SITE_URL", f"https://{SECRET}.example/path"),
        ("SITE_URL", f"ftp://{SECRET}.example"),
        ("SITE_URL", f"https://{SECRET}.example:port"),
        ("SITE_URL", f"https://ada:{SECRET}@leerkaart.example"),
        ("SITE_URL", SECRET),
        ("DATABASE_URL", f"sqlite:///{SECRET}"),
        ("DATABASE_URL", f"postgres://ada:{SECRET}@db:port/leerkaart"),
        ("DATABASE_URL", f"postgres://ada:{SECRET}@db"),
        ("DATABASE_URL", SECRET),
        ("REDIS_URL", f"amqp://{SECRET}"),
        ("REDIS_URL", f"redis://:{SECRET}@valkey:port/0"),
        ("EMAIL_URL", f"gopher://{SECRET}"),
        ("EMAIL_URL", SECRET),
        ("DEBUG", SECRET),
        ("TRUSTED_PROXY_COUNT", SECRET),
        ("TRUSTED_PROXY_COUNT", "-1"),
        ("LOG_LEVEL", SECRET),
    ],
)
def test_malformed_variable_is_named_and_not_repeated(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = refusal(name, value, monkeypatch)

    assert said.startswith(f"{name} ")
    assert SECRET not in said


def test_variable_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("k" * 50 + "\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "secret"))

    assert environment.secret_key() == "k" * 50


def test_file_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "nothing"))

    with pytest.raises(ImproperlyConfigured, match="^SECRET_KEY_FILE cannot be read: FileNotFoundError$"):
        environment.secret_key()


def test_site_url_loses_only_its_last_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_URL", "https://leerkaart.example:8443/")

    assert environment.site_url() == "https://leerkaart.example:8443"


@pytest.mark.parametrize(
    ("given", "allowed"),
    [("", ["leerkaart.example"]), ("a.example, b.example", ["a.example", "b.example"])],
)
def test_allowed_hosts_are_the_sites_own_unless_told_otherwise(
    given: str, allowed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", given)

    assert environment.allowed_hosts("https://leerkaart.example:8443") == allowed


@pytest.mark.parametrize(("said", "meant"), [("on", True), ("True", True), ("1", True), ("no", False), ("", False)])
def test_flag_is_off_unless_said(said: str, meant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG", said)

    assert environment.flag("DEBUG") is meant
