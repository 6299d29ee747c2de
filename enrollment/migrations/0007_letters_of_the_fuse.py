from django.db import migrations, models

_TO_STAFF = ["holds_ending", "places_scarce", "queue_long", "rechecks_stopped", "roster_stopped"]


class Migration(migrations.Migration):
    dependencies = [
        ("enrollment", "0006_stretches_of_the_queue"),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="letter", name="letter_about_a_member_or_to_staff"),
        migrations.AddConstraint(
            model_name="letter",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("enrollment", None),
                        ("kind__in", _TO_STAFF),
                        models.Q(("pool__isnull", False), ("institution__isnull", False), _connector="OR"),
                    ),
                    models.Q(
                        models.Q(("kind__in", _TO_STAFF), _negated=True),
                        ("enrollment__isnull", False),
                        ("institution", None),
                        ("pool", None),
                    ),
                    _connector="OR",
                ),
                name="letter_about_a_member_or_to_staff",
            ),
        ),
    ]
