from collections.abc import Iterator
from dataclasses import replace

import pytest

from catalog.provider.client import Connection, Person
from catalog.provider.exchange import new_session
from catalog.provider.moodle import MoodleClient
from catalog.provider.scim import ScimClient
from tests.moodle_server import RunningMoodle, moodle
from tests.platform_server import RunningPlatform, running_platform

__all__ = ["ada", "bo", "client", "moodle", "moodle_client", "one_platform", "platform"]


@pytest.fixture
def ada() -> Person:
    return Person(external_id="3f0c-ada", email="ada@example.be", first_name="Ada", last_name="Peeters", language="nl")


@pytest.fixture
def bo(ada: Person) -> Person:
    return replace(ada, external_id="77aa-bo", email="bo@example.be", first_name="Bo")


@pytest.fixture(scope="module")
def one_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    with running_platform(tmp_path_factory.mktemp("platform") / "accounts.jsonl") as running:
        yield running


@pytest.fixture
def platform(one_platform: RunningPlatform) -> RunningPlatform:
    """One for all tests of a module, as it takes long to begin; nothing is left of the test before."""
    one_platform.clear_faults()
    one_platform.forget_all()
    return one_platform


@pytest.fixture
def client(platform: RunningPlatform) -> Iterator[ScimClient]:
    with new_session() as session:
        yield ScimClient(connection_to(platform), session)


@pytest.fixture
def moodle_client(moodle: RunningMoodle) -> Iterator[MoodleClient]:
    with new_session() as session:
        yield MoodleClient(connection_to(moodle), session)


def connection_to(server: RunningPlatform | RunningMoodle) -> Connection:
    return Connection(server.base_url, server.token, connect_timeout=5.0, read_timeout=5.0, deadline=15.0)
