from __future__ import annotations

from typing import Any

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models
from django.db.models import F


def note_who_came_in(apps: Any, schema_editor: Any) -> None:
    """Everybody until now has proved their address with a code, but for those who asked for one and never came."""
    people = apps.get_model("libraries", "User").objects
    people.update(address_proved_at=F("date_joined"))
    people.filter(last_login=None, is_staff=False, cards=None, is_active=True).update(address_proved_at=None)


class Migration(migrations.Migration):
    dependencies = [
        ("libraries", "0004_library_systems"),
    ]

    operations = [
        migrations.CreateModel(
            name="AddressCode",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="address_code",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("hashed", models.CharField(max_length=64)),
                ("sent_at", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="user",
            name="address_proved_at",
            field=models.DateTimeField(
                blank=True, default=django.utils.timezone.now, null=True, verbose_name="address proved"
            ),
        ),
        migrations.RunPython(note_who_came_in, migrations.RunPython.noop),
    ]
