"""What holds for every letter, whoever it goes to."""

from __future__ import annotations

import re
from html import unescape

from enrollment import drafts
from enrollment.models import Letter


def check_complete(letter: Letter, language: str, *, page: str) -> str:
    """Nothing is left open, both parts say the same, and the button leads to this page in the language of the reader.
    Gives back the text."""
    letter.user.language = language
    letter.user.save()
    message = drafts.compose(letter)
    assert message is not None
    html, mime = message.alternatives[0]
    text = str(message.body)
    assert mime == "text/html"
    prefix = "" if language == "nl" else f"/{language}"
    address = f"http://testserver{prefix}/{page}" + ("" if "." in page else "/")
    assert address in text
    assert f'href="{address}' in str(html)
    assert f'<html lang="{language}">' in str(html)
    assert message.extra_headers["Content-Language"] == language
    for part in (text, str(html), str(message.subject)):
        assert not re.search(r"\{\{|\}\}|\{%|%\(|None|\(\)|“”|  ,|&amp;amp;|Refusal\.", part)
    assert "\n\n\n" not in text
    body = "<body" + str(html).partition("<body")[2]
    said = _words(text) | _words(str(message.subject)) | {"Leerkaart"}  # its head
    assert _words(re.sub(r"<[^>]+>", " ", unescape(body))) == said
    return text


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w{2,}", re.sub(r"https?://\S+", "", text)))
