from collections.abc import Iterator
from dataclasses import replace

import pytest

from catalog.provider.client import Connection, Person
from catalog.provider.exchange import new_session
from catalog.provider.scim import ScimClient
from tests.platform_server import RunningPlatform, platform

__all__ = ["ada", "bo", "client", "platform"]


@pytest.fixture
def ada() -> Person:
    return Person(external_id="3f0c-ada", email="ada@example.be", first_name="Ada", last_name="Peeters", language="nl")


@pytest.fixture
def bo(ada: Person) -> Person:
    return replace(ada, external_id="77aa-bo", email="bo@example.be", first_name="Bo")


@pytest.fixture
def client(platform: RunningPlatform) -> Iterator[ScimClient]:
    connection = Connection(platform.base_url, platform.token, connect_timeout=1.0, read_timeout=1.0, deadline=2.0)
    with new_session() as session:
        yield ScimClient(connection, session)
