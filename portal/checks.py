"""What `manage.py check --deploy` says of the environment."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from enrollment import erasure_list


@register(Tags.security, deploy=True)
def erasures_are_listed(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Where people's data are, wishes to erase them must outlive a restore."""
    if settings.DEBUG:
        return []
    if not settings.ERASURE_LIST:
        hint = "Name a file outside the database, on a disk that is kept: see docs/operations.md."
        return [Error("ERASURE_LIST is not set: nobody's data can be erased.", hint=hint, id="portal.E001")]
    try:
        erasure_list.check()
    except erasure_list.ListTrouble as error:
        hint = "Only the process of the sweeps needs it: elsewhere this may be as it should."
        return [Warning(f"The list of erasures cannot be written here ({error}).", hint=hint, id="portal.W001")]
    return []
