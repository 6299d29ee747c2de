"""Events are append-only, in the database itself."""

import pytest
from django.db import IntegrityError, connection, transaction

from enrollment import history
from enrollment.models import Event
from tests.factories import NOW, make_user

pytestmark = pytest.mark.django_db


def test_event_cannot_be_changed() -> None:
    history.record(Event.Kind.CAP_CHANGED, now=NOW)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.update(reason="other")


def test_event_cannot_be_deleted() -> None:
    history.record(Event.Kind.CAP_CHANGED, now=NOW)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        Event.objects.all().delete()


def test_retention_may_delete_after_saying_so_in_its_transaction() -> None:
    history.record(Event.Kind.CAP_CHANGED, now=NOW, words="A reason")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL leerkaart.retention = 'on'")
        Event.objects.all().delete()
    assert Event.objects.count() == 0


def test_record_keeps_typed_words_beside_the_event() -> None:
    mo = make_user("mo@example.test")
    event = history.record(Event.Kind.CAP_CHANGED, now=NOW, by=mo, words="Het loopt storm", old_value=1, new_value=2)
    event.refresh_from_db()
    assert (event.actor_id, event.old_value, event.new_value, event.note.words) == (mo.pk, 1, 2, "Het loopt storm")
    event.note.delete()
    assert Event.objects.count() == 1
