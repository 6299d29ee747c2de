"""The platform's one page for people: accounts, and switches for faults. No script, no inline style."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from zoneinfo import ZoneInfo

from portal.sandbox.platform_faults import Kind
from portal.sandbox.platform_notices import LABELS

HERE = Path(__file__).parent
COLUMNS = ("Name", "Mail", "External id", "Active", "Created")
TELL = "Do it here, and tell the portal"
KINDS = {
    Kind.DOWN: "Down: every request is answered with 503",
    Kind.SLOW: "Slow: every answer comes late",
    Kind.TOO_MANY: "Too many requests: 429 with Retry-After",
    Kind.REFUSE: "Limit reached: a new account is refused with 403",
    Kind.ERROR_AFTER_CREATING: "Error after creating: the account is made, the answer is 500",
    Kind.DROPPED_REPLY: "Dropped reply: the change is made, the connection closes without an answer",
}

Account = Mapping[str, object]


def stylesheet() -> str:
    return (HERE / "platform.css").read_text(encoding="utf-8")


def page(accounts: Sequence[Account], faults: Sequence[Mapping[str, object]], *, tells: bool = False) -> str:
    """`tells`: there is a portal that can be told what happens to an account here."""
    template = Template((HERE / "platform.html").read_text(encoding="utf-8"))
    heading = "1 account" if len(accounts) == 1 else f"{len(accounts)} accounts"
    return template.substitute(
        heading=heading,
        accounts=_table(accounts, tells=tells) if accounts else "<p>Nobody has an account yet.</p>",
        running=_running(faults),
        kinds="\n".join(_choice(kind) for kind in Kind),
    )


def _table(accounts: Sequence[Account], *, tells: bool) -> str:
    columns = (*COLUMNS, TELL) if tells else COLUMNS
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    rows = "\n".join(_row(account, tells=tells) for account in accounts)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>"


def _row(account: Account, *, tells: bool) -> str:
    active = "<td>yes</td>" if account["active"] else '<td class="closed">no</td>'
    texts = [escape(str(account[name] or "–")) for name in ("name", "email", "external_id")]
    cells = "".join(f"<td>{text}</td>" for text in texts)
    created = f"<td>{escape(_moment(str(account['created'])))}</td>"
    return f"<tr>{cells}{active}{created}{_buttons(account) if tells else ''}</tr>"


def _buttons(account: Account) -> str:
    """Each names its account for those who hear it without the row."""
    name, mine = escape(str(account["name"] or account["id"])), escape(str(account["id"]))
    buttons = "".join(
        f'<button class="quiet" name="type" value="{kind}" aria-label="{label}: {name}">{label}</button>'
        for kind, label in LABELS.items()
    )
    form = f'<form method="post" action="/notices"><input type="hidden" name="id" value="{mine}">'
    return f'<td>{form}<span class="buttons">{buttons}</span></form></td>'


def _moment(created: str) -> str:
    return f"{datetime.fromisoformat(created).astimezone(ZoneInfo('Europe/Brussels')):%Y-%m-%d %H:%M:%S}"


def _choice(kind: Kind) -> str:
    checked = " checked" if kind is Kind.DOWN else ""
    return f'<label><input type="radio" name="kind" value="{kind}"{checked}> {escape(KINDS[kind])}</label>'


def _running(faults: Sequence[Mapping[str, object]]) -> str:
    if not faults:
        return "Now: everything works."
    words = [_said(fault) for fault in faults]
    return f"Now: {escape('; '.join(words))}."


def _said(fault: Mapping[str, object]) -> str:
    left = "" if fault["times"] is None else f" ({fault['times']} more)"
    return f"{str(fault['kind']).replace('_', ' ')}{left}"
