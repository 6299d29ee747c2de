"""What the pages draw: the shelf, covers, icons; and figures as each language writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from django import template
from django.conf import settings
from django.contrib.messages.storage.base import Message
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from catalog.covers import cover_svg
from catalog.models import Course
from enrollment.shelf import sections

register = template.Library()

_PREFIX = re.compile(r"^/(?:{})(?=[/?]|$)".format("|".join(code for code, _name in settings.LANGUAGES)))
_FOR_ALL = ("/lti/", "/openid/")
NARROW_SPACE, NO_BREAK_SPACE = "\u202f", "\u00a0"
NATIVE_NAMES = {"nl": "Nederlands", "fr": "Français", "en": "English"}
LOOKS = {
    "success": {"tone": "good", "icon": "circle-check", "role": "status"},
    "warning": {"tone": "warn", "icon": "triangle-alert", "role": "status"},
    "error": {"tone": "bad", "icon": "circle-alert", "role": "alert"},
}
PLAIN_LOOK = {"tone": "info", "icon": "info", "role": "status"}


@register.simple_tag
def icon(name: str) -> SafeString:
    address = f"{static('img/icons.svg')}#{name}"
    return format_html('<svg class="icon" aria-hidden="true" focusable="false"><use href="{}"/></svg>', address)


@register.filter
def without_end(label: object) -> str:
    """A label that is a sentence, to go on after."""
    return str(label).rstrip(f" .?:{NARROW_SPACE}{NO_BREAK_SPACE}")


@register.simple_tag
def cover(course: Course) -> SafeString:
    # Safe: the code only seeds the drawing, nothing of the course is written into it.
    return mark_safe(cover_svg(code=course.code, area=course.area.slug))


@register.inclusion_tag("_parts/shelf.html")
def shelf(taken: int, cap: int, areas: Sequence[str] = (), single: bool = False) -> dict[str, Any]:
    drawn = sections(taken=taken, cap=cap, areas=areas, count=1 if single else 4)
    # Safe: shapes and colors of our own only.
    return {"sections": [mark_safe(section) for section in drawn], "single": single}


@register.filter
def number(value: int) -> str:
    """1 412 with a space that does not break, as Dutch and French write it in Belgium; 1,412 in English."""
    separator = "," if get_language() == "en" else NARROW_SPACE
    return f"{value:,}".replace(",", separator)


@register.inclusion_tag("_parts/languages.html", takes_context=True)
def language_switch(context: template.Context) -> dict[str, Any]:
    """Buttons of a form: switching sets a cookie, and works without script. It leads to the address of the page, or to
    its `page_address` where asking for that address again would not show the page but do something, or fail."""
    request = context.get("request")
    if request is None:
        return {}
    address = context.get("page_address") or request.get_full_path()
    choices = [
        {
            "code": code,
            "name": NATIVE_NAMES[code],
            "address": in_language(address, code),
            "current": code == get_language(),
        }
        for code, _name in settings.LANGUAGES
    ]
    return {"choices": choices}


@register.simple_tag
def notice_of(message: Message) -> dict[str, str]:
    return LOOKS.get(message.level_tag, PLAIN_LOOK)


def in_language(address: str, code: str) -> str:
    """The same address in another language. The prefix is all that differs, so that this holds for pages that
    do not exist too; where platforms come to, one address is for all languages. Two slashes at the start would be the
    address of another site."""
    plain = "/" + _PREFIX.sub("", address).lstrip("/")
    return plain if code == settings.LANGUAGE_CODE or plain.startswith(_FOR_ALL) else f"/{code}{plain}"
