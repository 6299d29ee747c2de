from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import connection
from django.db.models import Model


def insert_each(template: Model, **columns: Sequence[int] | Sequence[datetime]) -> None:
    """Rows that differ in these columns only (of one length), in one statement however many there are: `bulk_create`
    prepares every value of every row, which takes longer than writing them."""
    types = {field.column: field.db_type(connection) for field in template._meta.concrete_fields}
    told = [field for field in template._meta.concrete_fields if not field.primary_key and field.column not in columns]
    arrays = ", ".join(f"%s::{types[column]}[]" for column in columns)
    sql = f"""
        INSERT INTO {template._meta.db_table} ({", ".join([*columns, *(field.column for field in told)])})
        SELECT {", ".join([*columns, *("%s" for _ in told)])} FROM unnest({arrays}) AS each ({", ".join(columns)})
    """
    same = [field.get_db_prep_save(getattr(template, field.attname), connection) for field in told]
    with connection.cursor() as cursor:
        cursor.execute(sql, [*same, *map(list, columns.values())])
