"""A programme that is open, its libraries, and Ada who has just signed in."""

from __future__ import annotations

import pytest
from django.test import Client

from catalog.models import Programme
from libraries.models import Library
from tests.enrollment.views.visiting import sign_in
from tests.factories import make_institution, make_library, make_programme


@pytest.fixture
def permeke() -> Library:
    return make_library("Permeke", postal_code="2060")


@pytest.fixture
def programme(permeke: Library) -> Programme:
    make_library("Bibliotheek Halle", make_institution("halle", postal_code="1500"))
    return make_programme()


@pytest.fixture
def ada(client: Client, programme: Programme) -> Client:
    sign_in(client)
    return client
