"""Work that is being claimed by one worker is passed over by the others, who do not wait either."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from enrollment.models import ProviderAccount
from enrollment.provisioning import LEASE
from tests.factories import NOW, make_provider, make_user

pytestmark = [pytest.mark.concurrency, pytest.mark.django_db(transaction=True)]


def claimed() -> int | None:
    row = ProviderAccount.objects.claim(now=NOW, lease=LEASE)
    return None if row is None else row.pk


def claimed_by_another() -> int | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '3s'")
        return claimed()
    finally:
        connection.close()


def test_claim_passes_over_what_is_being_claimed() -> None:
    first, second = (
        ProviderAccount.objects.create(
            user=make_user(email), provider=make_provider(), must_be_active=True, due_at=NOW
        ).pk
        for email in ("ada@example.test", "bo@example.test")
    )
    with ThreadPoolExecutor(1) as another, transaction.atomic():
        assert claimed() == first
        assert another.submit(claimed_by_another).result() == second
        assert another.submit(claimed_by_another).result() is None
    assert claimed() is None
