from django.db import migrations

# A seat counts in a share of its own pool.
SHARE_OF_POOL = """
ALTER TABLE enrollment_enrollment ADD CONSTRAINT enrollment_share_of_pool
FOREIGN KEY (share_id, pool_id) REFERENCES enrollment_share (id, pool_id) DEFERRABLE INITIALLY DEFERRED
"""

# Events are append-only: nobody changes one, and only retention deletes, after saying so in its transaction.
APPEND_ONLY = """
CREATE FUNCTION enrollment_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('leerkaart.retention', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'events are append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER enrollment_event_append_only BEFORE UPDATE OR DELETE ON enrollment_event
FOR EACH ROW EXECUTE FUNCTION enrollment_event_append_only();
"""


class Migration(migrations.Migration):
    dependencies = [("enrollment", "0002_constraints")]

    operations = [
        migrations.RunSQL(SHARE_OF_POOL, "ALTER TABLE enrollment_enrollment DROP CONSTRAINT enrollment_share_of_pool"),
        migrations.RunSQL(
            APPEND_ONLY,
            "DROP TRIGGER enrollment_event_append_only ON enrollment_event;"
            "DROP FUNCTION enrollment_event_append_only()",
        ),
    ]
