"""A librarian at work at the desk, for the tests of what happens there."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from catalog.models import Programme
from enrollment import at_the_desk
from enrollment.models import Enrollment
from libraries.models import User
from tests.factories import NOW, make_application

ADA = "ada@example.test"


def sign_up(programme: Programme, by: User, email: str = ADA, **told: Any) -> Enrollment:
    application = make_application(**told)
    with transaction.atomic():  # a refusal undoes everything, as outside a test
        return at_the_desk.sign_up(pool=programme.pool, application=application, email=email, by=by, now=NOW)
