from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority, trusting


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    with trusting(authority, monkeypatch):
        yield authority
