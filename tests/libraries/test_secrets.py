"""Rows name secrets and say where they are sent: never those of the portal itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from libraries.secrets import find_secret, secret_of


def test_secret_is_read_from_the_environment_or_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KORTRIJK_SIP", "word")
    assert secret_of("KORTRIJK_SIP") == "word"
    (tmp_path / "secret").write_text("other\n")
    monkeypatch.setenv("KORTRIJK_SIP_FILE", str(tmp_path / "secret"))
    assert secret_of("KORTRIJK_SIP") == "other"


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_URL", "OIDC_UITID_CLIENT_SECRET"])
def test_secret_of_the_portal_is_not_there_for_a_row(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "word")
    assert find_secret(name) == ""
    with pytest.raises(LookupError):
        secret_of(name)
