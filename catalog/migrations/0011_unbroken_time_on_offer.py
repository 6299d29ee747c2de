import datetime

from django.db import migrations, models

# Whatever changes the days of a course in a programme, of all that it has there.
UNBROKEN = """
CREATE FUNCTION catalog_listing_unbroken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE catalog_listing AS listing SET unbroken_from = lower(stretch), unbroken_until = upper(stretch)
    FROM (
        SELECT programme_id, course_id, unnest(range_agg(daterange(offered_from, offered_until))) AS stretch
        FROM catalog_listing
        WHERE (programme_id, course_id) IN ((OLD.programme_id, OLD.course_id), (NEW.programme_id, NEW.course_id))
        GROUP BY programme_id, course_id
    ) AS offered
    WHERE listing.programme_id = offered.programme_id AND listing.course_id = offered.course_id
        AND stretch @> listing.offered_from
        AND (listing.unbroken_from, listing.unbroken_until) IS DISTINCT FROM (lower(stretch), upper(stretch));
    RETURN NULL;
END $$;
CREATE TRIGGER listing_unbroken
AFTER INSERT OR DELETE OR UPDATE OF programme_id, course_id, offered_from, offered_until ON catalog_listing
FOR EACH ROW EXECUTE FUNCTION catalog_listing_unbroken()
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0010_what_was_on_offer_stays")]

    operations = [
        migrations.AddField(
            "listing", "unbroken_from", models.DateField(db_default=datetime.date(1, 1, 1), editable=False)
        ),
        migrations.AddField("listing", "unbroken_until", models.DateField(editable=False, null=True)),
        migrations.RunSQL(
            UNBROKEN, "DROP TRIGGER listing_unbroken ON catalog_listing; DROP FUNCTION catalog_listing_unbroken()"
        ),
        migrations.RunSQL("UPDATE catalog_listing SET offered_from = offered_from", migrations.RunSQL.noop),
    ]
