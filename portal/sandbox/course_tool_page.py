"""The pages of the sandbox's courses. No script, no inline style."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

TEMPLATE = Path(__file__).parent / "course_tool.html"
LTI = "https://purl.imsglobal.org/spec/lti/claim/"
# What may be said of a person (OpenID Connect Core, 5.1), and how it is called here.
TOLD = {
    "sub": "Number that stands for you",
    "name": "Name",
    "given_name": "First name",
    "family_name": "Last name",
    "email": "Email address",
    "locale": "Language",
}
LONGEST = 2000

Claims = Mapping[str, Any]


@dataclass(frozen=True)
class Trouble:
    what: str
    status: int | None = None
    answer: str = ""


def as_json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def course(claims: Claims, *, progress: int | None, back: str, trouble: Trouble | None) -> str:
    title = _title(claims)
    known = "Nothing yet." if progress is None else f"You are at {progress} %."
    told = f"{known} The portal was told." if progress is not None else known
    body = f"""
{_alert(trouble) if trouble else ""}
<section aria-labelledby="course">
<h2 id="course">Your course</h2>
<p>This page stands in for the course itself. Say how far you are, and the portal is told.</p>
<p role="status"><progress max="100" value="{progress or 0}" aria-label="Progress"></progress> {told}</p>
<form method="post"><p class="buttons">
<button name="do" value="quarter">25 %</button>
<button name="do" value="done">Done</button>
<button name="do" value="forget" class="quiet">Forget me</button>
</p></form>
<p>“Forget me” deletes everything that this platform's courses were told of you.</p>
</section>
<section aria-labelledby="told">
<h2 id="told">What this course was told of you</h2>
{_told(claims)}
<details><summary>Everything that came with the start</summary>
<pre>{escape(as_json(claims))}</pre></details>
</section>"""
    return _page(title, "A course of the training platform.", body, back)


def offer(titles: Mapping[str, str], *, several: bool, nothing: bool = False) -> str:
    kind = "checkbox" if several else "radio"
    choices = "\n".join(
        f'<label><input type="{kind}" name="course" value="{escape(code)}"> {escape(title)}</label>'
        for code, title in titles.items()
    )
    body = f"""
{_alert(Trouble("Pick a course first.")) if nothing else ""}
<section aria-labelledby="offer">
<h2 id="offer">All courses</h2>
<form method="post"><fieldset><legend>Which courses the portal is to know</legend>
{choices}
</fieldset>
<p class="buttons"><button>Pick these</button> <button name="do" value="nothing" class="quiet">Pick nothing</button></p>
</form>
</section>"""
    return _page("Pick courses", "Everything that the training platform offers.", body)


def picked(titles: Sequence[str], *, address: str, token: str) -> str:
    items = "".join(f"<li>{escape(title)}</li>" for title in titles)
    body = f"""
<section aria-labelledby="picked">
<h2 id="picked">{"You picked" if titles else "You picked nothing"}</h2>
{f"<ul>{items}</ul>" if titles else ""}
<form method="post" action="{escape(address)}"><input type="hidden" name="JWT" value="{escape(token)}">
<p class="buttons"><button>Send {"them" if titles else "this"} to the portal</button></p></form>
</section>"""
    return _page("Pick courses", "One more step: the portal has to be told.", body)


def forgotten(back: str) -> str:
    body = """
<section aria-labelledby="forgotten">
<h2 id="forgotten">You are forgotten</h2>
<p role="status">The courses of this platform know nothing of you any more. What the portal was told stays there.</p>
</section>"""
    return _page("Forgotten", "", body, back)


def trouble(what: Trouble, *, back: str) -> str:
    return _page("This does not work", "", _alert(what), back)


def _alert(trouble: Trouble) -> str:
    answer = trouble.answer[:LONGEST]
    status = f"<p>Status: {trouble.status}</p>" if trouble.status is not None else ""
    detail = f"<pre>{escape(answer)}</pre>" if answer else ""
    return f'<section role="alert" class="bad"><p><strong>{escape(trouble.what)}</strong></p>{status}{detail}</section>'


def _title(claims: Claims) -> str:
    """As the portal says it."""
    places = (claims.get(f"{LTI}resource_link"), claims.get(f"{LTI}context"))
    titles = (str(place["title"]) for place in places if isinstance(place, Mapping) and place.get("title"))
    return next(titles, "A course")


def _told(claims: Claims) -> str:
    rows = "\n".join(
        f"<div><dt>{label}</dt><dd>{escape(str(claims[name])) if claims.get(name) else _nothing()}</dd></div>"
        for name, label in TOLD.items()
    )
    return f"<dl>{rows}</dl>"


def _nothing() -> str:
    return '<span class="muted">was not told</span>'


def _page(title: str, lead: str, body: str, back: str = "") -> str:
    link = f'<p><a href="{escape(back)}">Back to the portal</a></p>' if back else ""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title), lead=f"<p>{lead}</p>" if lead else "", body=body, back=link
    )
