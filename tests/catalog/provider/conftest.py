from collections.abc import Iterator
from dataclasses import replace

import pytest

from catalog.provider.client import Connection, Person
from catalog.provider.exchange import new_session
from catalog.provider.moodle import MoodleClient
from catalog.provider.scim import ScimClient
from tests.moodle_server import RunningMoodle, moodle
from tests.platform_server import RunningPlatform, platform

__all__ = ["ada", "bo", "client", "moodle", "moodle_client", "platform"]


@pytest.fixture
def ada() -> Person:
    return Person(external_id="3f0c-ada", email="ada@example.be", first_name="Ada", last_name="Peeters", language="nl")


@pytest.fixture
def bo(ada: Person) -> Person:
    return replace(ada, external_id="77aa-bo", email="bo@example.be", first_name="Bo")


@pytest.fixture
def client(platform: RunningPlatform) -> Iterator[ScimClient]:
    with new_session() as session:
        yield ScimClient(connection_to(platform), session)


@pytest.fixture
def moodle_client(moodle: RunningMoodle) -> Iterator[MoodleClient]:
    with new_session() as session:
        yield MoodleClient(connection_to(moodle), session)


def connection_to(server: RunningPlatform | RunningMoodle) -> Connection:
    return Connection(server.base_url, server.token, connect_timeout=1.0, read_timeout=0.5, deadline=2.0)
