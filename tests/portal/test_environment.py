"""What is missing or malformed in the environment is named at start, and never repeated: it may hold a password."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured

from portal import environment

SECRET = "s3cret-in-the-value"


def pem(key: Any, password: bytes | None = None) -> str:
    locked = BestAvailableEncryption(password) if password else NoEncryption()
    return str(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked).decode())


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
        "SIGN_ON_KEY": environment.sign_on_keys,
    }
    monkeypatch.setenv(name, value)
    with pytest.raises(ImproperlyConfigured) as raised:
        readers[name]()
    return str(raised.value)


@pytest.mark.parametrize(("value", "keys"), [("", []), ("one,two", ["one", "two"]), (" one\ntwo ", ["one", "two"])])
def test_earlier_secret_keys_are_read_in_order(value: str, keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY_FALLBACKS", value)
    assert environment.earlier_secret_keys() == keys


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
        ("SIGN_ON_KEY", SECRET),
        ("SIGN_ON_KEY", f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----"),
        ("SIGN_ON_KEY", pem(ec.generate_private_key(ec.SECP256R1()))),
        ("SIGN_ON_KEY", pem(rsa.generate_private_key(65537, 1024))),
        ("SIGN_ON_KEY", pem(rsa.generate_private_key(65537, 2048), password=b"word")),
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


UITID = {
    "OIDC_PROVIDERS": "uitid",
    "OIDC_UITID_ISSUER": "https://account.uitid.example/realms/uitid",
    "OIDC_UITID_NAME": "UiTiD",
    "OIDC_UITID_CLIENT_ID": "leerkaart",
    "OIDC_UITID_CLIENT_SECRET": SECRET,
}


def providers(monkeypatch: pytest.MonkeyPatch, **changes: str) -> list[dict[str, object]]:
    for name, value in (UITID | changes).items():
        monkeypatch.setenv(name, value)
    return environment.identity_providers()


def test_no_identity_provider_is_there_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert providers(monkeypatch, OIDC_PROVIDERS="") == []


def test_identity_provider_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    issuer = "https://account.uitid.example/realms/uitid"
    more = {"OIDC_UITID_ORIGINS": "https://login.example, http://localhost:8080"}

    found = providers(monkeypatch, OIDC_UITID_CLIENT_SECRET_FILE=str(tmp_path / "secret"), **more)

    assert found == [
        {
            "provider_id": "uitid",
            "name": "UiTiD",
            "client_id": "leerkaart",
            "secret": "from a file",
            "settings": {
                "server_url": issuer,
                "origins": ["https://account.uitid.example", "https://login.example", "http://localhost:8080"],
            },
        }
    ]


def test_several_identity_providers_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    second = {name.replace("UITID", "KAART2"): value for name, value in UITID.items() if "UITID" in name}

    found = providers(monkeypatch, OIDC_PROVIDERS="kaart2, uitid", **second)

    assert [each["provider_id"] for each in found] == ["kaart2", "uitid"]


@pytest.mark.parametrize("name", ["ISSUER", "NAME", "CLIENT_ID", "CLIENT_SECRET"])
def test_what_an_identity_provider_lacks_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^OIDC_UITID_{name} is not set"):
        providers(monkeypatch, **{f"OIDC_UITID_{name}": ""})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OIDC_PROVIDERS", f"uitid,{SECRET}"),
        ("OIDC_PROVIDERS", "uitid,uitid"),
        ("OIDC_PROVIDERS", "Uitid"),
        ("OIDC_PROVIDERS", "../uitid"),
        ("OIDC_UITID_ISSUER", f"http://{SECRET}.example"),
        ("OIDC_UITID_ISSUER", f"https://{SECRET}.example/?x=1"),
        ("OIDC_UITID_ISSUER", f"https://ada:{SECRET}@uitid.example"),
        ("OIDC_UITID_ISSUER", f"https://uitid.example;{SECRET}"),
        ("OIDC_UITID_ISSUER", f"https://*.{SECRET}.example"),
        ("OIDC_UITID_ISSUER", f"https://uitid.example/{SECRET}\nx"),
        ("OIDC_UITID_ISSUER", f"https://uitid.example/{SECRET}" + "x" * 200),
        ("OIDC_UITID_ISSUER", "https://"),
        ("OIDC_UITID_ISSUER", SECRET),
        ("OIDC_UITID_NAME", SECRET * 3),
        ("OIDC_UITID_NAME", f"{SECRET}\nx"),
        ("OIDC_UITID_ORIGINS", f"https://{SECRET}.example/path"),
        ("OIDC_UITID_ORIGINS", f"https://{SECRET}.example *"),
        ("OIDC_UITID_ORIGINS", "*"),
    ],
)
def test_malformed_identity_provider_is_named_and_not_repeated(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        providers(monkeypatch, **{name: value})

    assert str(raised.value).startswith(f"{name} must be ")
    assert SECRET not in str(raised.value)


def test_keys_for_single_sign_on_are_read_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment.sign_on_keys() == []
    first, second = (pem(rsa.generate_private_key(65537, 2048)).strip() for _ in range(2))
    monkeypatch.setenv("SIGN_ON_KEY", f"{first}\n{second}\n")
    assert environment.sign_on_keys() == [{"pem": first}, {"pem": second}]
    monkeypatch.setenv("SIGN_ON_KEY", first.replace("\n", "\\n"))
    assert environment.sign_on_keys() == [{"pem": first}]
