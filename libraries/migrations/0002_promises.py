from django.db import migrations

# What Django's own constraints cannot say: a card's institution is its library's.
CARD_OF_LIBRARY = """
ALTER TABLE libraries_card ADD CONSTRAINT card_institution_of_library
FOREIGN KEY (library_id, institution_id) REFERENCES libraries_library (id, institution_id)
DEFERRABLE INITIALLY DEFERRED
"""

# The table of settings.CACHES: limits on guessing are kept there, so it has to be there before the first request.
CACHE = """
CREATE TABLE cache (
    cache_key varchar(255) NOT NULL PRIMARY KEY, value text NOT NULL, expires timestamp with time zone NOT NULL
);
CREATE INDEX cache_expires ON cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("libraries", "0001_first")]

    operations = [
        migrations.RunSQL(CARD_OF_LIBRARY, "ALTER TABLE libraries_card DROP CONSTRAINT card_institution_of_library"),
        migrations.RunSQL(CACHE, "DROP TABLE cache"),
    ]
