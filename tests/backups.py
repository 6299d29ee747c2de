"""A backup of the test database and its restore, table by table: what pg_dump and pg_restore do to the data."""

from __future__ import annotations

import io

from django.db import connection, transaction


def dump() -> dict[str, bytes]:
    tables: dict[str, bytes] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            into = io.BytesIO()
            cursor.copy_expert(f"COPY {connection.ops.quote_name(table)} TO STDOUT (FORMAT binary)", into)
            tables[table] = into.getvalue()
    return tables


def restore(tables: dict[str, bytes]) -> None:
    names = ", ".join(connection.ops.quote_name(table) for table in tables)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # triggers are silent, as for pg_restore
        cursor.execute(f"TRUNCATE {names}")
        for table, rows in tables.items():
            cursor.copy_expert(f"COPY {connection.ops.quote_name(table)} FROM STDIN (FORMAT binary)", io.BytesIO(rows))
