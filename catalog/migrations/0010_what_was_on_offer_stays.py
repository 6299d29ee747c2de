from django.db import migrations

# What members could follow is history: a title that is on offer ends, and only what is still to come is withdrawn.
STAYS = """
CREATE FUNCTION catalog_listing_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'listing % has begun: it can end, and stays', OLD.id
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'listing_stays', TABLE = 'catalog_listing';
END $$;
CREATE TRIGGER listing_stays BEFORE DELETE ON catalog_listing FOR EACH ROW
WHEN (OLD.offered_from <= (now() AT TIME ZONE 'Europe/Brussels')::date) EXECUTE FUNCTION catalog_listing_stays()
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0009_search")]

    operations = [
        migrations.RunSQL(
            STAYS, "DROP TRIGGER listing_stays ON catalog_listing; DROP FUNCTION catalog_listing_stays()"
        ),
    ]
