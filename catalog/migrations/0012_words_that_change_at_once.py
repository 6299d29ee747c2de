from django.db import migrations

# A course is indexed by the synonyms and the areas that are committed: of two who change any of them at once, the second
# one waits, and then sees what the first has done. Before the statement, and so before it locks any row: whoever has
# come first may still need that row.
ONE_BY_ONE = """
CREATE FUNCTION catalog_words_one_by_one() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock('catalog_synonym'::regclass::bigint);
    RETURN NULL;
END $$;
CREATE TRIGGER catalog_area_one_by_one BEFORE UPDATE ON catalog_area
FOR EACH STATEMENT EXECUTE FUNCTION catalog_words_one_by_one();
CREATE TRIGGER catalog_synonym_one_by_one BEFORE INSERT OR UPDATE OR DELETE ON catalog_synonym
FOR EACH STATEMENT EXECUTE FUNCTION catalog_words_one_by_one()
"""
ALL_AT_ONCE = """
DROP TRIGGER catalog_area_one_by_one ON catalog_area;
DROP TRIGGER catalog_synonym_one_by_one ON catalog_synonym;
DROP FUNCTION catalog_words_one_by_one()
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0011_unbroken_time_on_offer")]

    operations = [migrations.RunSQL(ONE_BY_ONE, ALL_AT_ONCE)]
