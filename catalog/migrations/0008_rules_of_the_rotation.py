import django.db.models.functions.datetime
from django.db import migrations, models

# The most core titles on one day of this time, days gone by left out: what comes adds one, what goes takes one away.
MOST = """
CREATE FUNCTION catalog_most_core_titles(its_programme bigint, since date, until date) RETURNS bigint
LANGUAGE sql STABLE AS $$
    WITH time AS (
        SELECT greatest(since, (now() AT TIME ZONE 'Europe/Brussels')::date) AS since
    ), listed AS (
        SELECT greatest(listing.offered_from, time.since) AS comes_on, listing.offered_until AS goes_on
        FROM catalog_listing AS listing, time
        WHERE listing.programme_id = its_programme AND listing.role = 'core'
            AND (listing.offered_until IS NULL OR listing.offered_until > time.since)
            AND (until IS NULL OR listing.offered_from < until)
    ), change AS (
        SELECT comes_on AS day, 1 AS titles FROM listed
        UNION ALL SELECT goes_on, -1 FROM listed WHERE goes_on IS NOT NULL
    ), at_once AS (
        SELECT sum(sum(titles)) OVER (ORDER BY day) AS titles FROM change GROUP BY day
    )
    SELECT coalesce(max(titles), 0)::bigint FROM at_once
$$
"""
# At the end of the transaction, so that titles may be replaced in any order. The programme's row is locked before the
# count: of two transactions that add the last title, the second one counts what the first has written. A title that only
# comes later or leaves sooner is no more than there was.
OF_LISTINGS = """
CREATE FUNCTION catalog_listing_core_titles() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE most int;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.role = NEW.role AND OLD.programme_id = NEW.programme_id
        AND daterange(OLD.offered_from, OLD.offered_until) @> daterange(NEW.offered_from, NEW.offered_until) THEN
        RETURN NULL;
    END IF;
    SELECT core_titles INTO most FROM catalog_programme WHERE id = NEW.programme_id FOR NO KEY UPDATE;
    IF catalog_most_core_titles(NEW.programme_id, NEW.offered_from, NEW.offered_until) > most THEN
        RAISE EXCEPTION 'more core titles at once than programme % has', NEW.programme_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'listing_core_titles_at_once', TABLE = 'catalog_listing';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER listing_core_titles_at_once AFTER INSERT OR UPDATE ON catalog_listing
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.role = 'core') EXECUTE FUNCTION catalog_listing_core_titles()
"""
OF_PROGRAMMES = """
CREATE FUNCTION catalog_programme_core_titles() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF catalog_most_core_titles(NEW.id, '-infinity', NULL) >
        (SELECT core_titles FROM catalog_programme WHERE id = NEW.id FOR NO KEY UPDATE) THEN
        RAISE EXCEPTION 'more core titles are planned at once for programme %', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'programme_core_titles_at_once',
                TABLE = 'catalog_programme';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER programme_core_titles_at_once AFTER UPDATE OF core_titles ON catalog_programme
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.core_titles < OLD.core_titles)
EXECUTE FUNCTION catalog_programme_core_titles()
"""

# Nothing kept two modules from coming in one month before: the first one stays it, and nothing goes off the shelf.
ONE_MODULE_A_MONTH = """
UPDATE catalog_listing SET role = 'core' WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY programme_id, date_trunc('month', offered_from::timestamp) ORDER BY offered_from, id
        ) AS place
        FROM catalog_listing WHERE role = 'module'
    ) AS module WHERE place > 1
)
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0007_courses_to_start")]

    operations = [
        migrations.RunSQL(ONE_MODULE_A_MONTH, migrations.RunSQL.noop),
        migrations.AddConstraint(
            model_name="listing",
            constraint=models.UniqueConstraint(
                models.F("programme"),
                django.db.models.functions.datetime.ExtractYear("offered_from"),
                django.db.models.functions.datetime.ExtractMonth("offered_from"),
                condition=models.Q(("role", "module")),
                name="listing_one_module_a_month",
            ),
        ),
        migrations.RunSQL(MOST, "DROP FUNCTION catalog_most_core_titles(bigint, date, date)"),
        migrations.RunSQL(
            OF_LISTINGS,
            "DROP TRIGGER listing_core_titles_at_once ON catalog_listing; DROP FUNCTION catalog_listing_core_titles()",
        ),
        migrations.RunSQL(
            OF_PROGRAMMES,
            "DROP TRIGGER programme_core_titles_at_once ON catalog_programme;"
            "DROP FUNCTION catalog_programme_core_titles()",
        ),
    ]
