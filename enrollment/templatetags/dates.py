"""In place of Django's filter of the same name, in every template (`builtins` in the settings)."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import defaultfilters

from catalog import dates

register = template.Library()


@register.filter(expects_localtime=True, is_safe=False)
def date(value: Any, how: str | None = None) -> str:
    return str(defaultfilters.date(value, dates.how_on(value, how)))
