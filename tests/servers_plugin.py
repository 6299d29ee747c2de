"""Gives the tests their servers and settings before Django reads them; loaded by -p in pyproject.toml.

The controlling process starts PostgreSQL and Valkey and hands them to xdist's workers by environment. Every
worker has its own test database (pytest-django sees to it) and its own Redis database.
"""

import contextlib
import os
import tempfile
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from portal.sandbox import servers
from tests.environment import use_test_environment


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Around all others, so that pytest-django finds the servers when it loads the settings."""
    use_test_environment()
    options = early_config.known_args_namespace
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ["REDIS_URL"] = _own_database(os.environ["REDIS_URL"], os.environ["PYTEST_XDIST_WORKER"])
    elif not (options.help or options.version):
        stack = contextlib.ExitStack()
        early_config.add_cleanup(stack.close)
        os.environ.update(stack.enter_context(_servers()))
    return (yield)


@contextlib.contextmanager
def _servers() -> Generator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="leerkaart-tests-") as folder:
        os.chmod(folder, 0o711)  # the server's user must pass through
        with servers.both(Path(folder), durable=False) as urls:
            yield urls


def _own_database(url: str, worker: str) -> str:
    return urlsplit(url)._replace(path=f"/{int(worker.removeprefix('gw')) + 1}").geturl()
