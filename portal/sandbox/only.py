"""The sandbox shows mail and codes to whoever asks: where it is off, its pages and data cannot even be imported."""

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def refuse_outside_the_sandbox() -> None:
    if not settings.SANDBOX:
        raise ImproperlyConfigured("This is a part of the sandbox, and SANDBOX is off")
