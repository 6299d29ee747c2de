from django.conf import settings
from django.db import migrations, models

KNOWN = ["", "pseudonym", "name", "name_and_mail"]
TABLES = {"courserun": "course_run_shown_known", "launch": "launch_shown_known"}


def shown(default: str) -> "models.CharField[str, str]":
    return models.CharField(blank=True, db_default=default, default="", editable=False, max_length=15)


class Migration(migrations.Migration):
    """What was read at a start before this is not known: no more than every start has told. A process of the release
    before, which knows nothing of it, has shown nothing."""

    dependencies = [
        ("catalog", "0009_search"),
        ("enrollment", "0019_single_sign_on"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        operation
        for table, name in TABLES.items()
        for operation in (
            migrations.AddField(model_name=table, name="shown", field=shown("pseudonym")),
            migrations.AlterField(model_name=table, name="shown", field=shown("")),
            migrations.AddConstraint(
                model_name=table,
                constraint=models.CheckConstraint(condition=models.Q(("shown__in", KNOWN)), name=name),
            ),
        )
    ]
