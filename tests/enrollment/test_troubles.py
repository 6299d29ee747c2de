"""Every code that the adapters raise has words."""

import re
from pathlib import Path

from django.utils import translation

from catalog.line import PROVIDER_WIDE
from enrollment import outcomes
from enrollment.reports import timeline, troubles

ROOT = Path(__file__).parents[2]
# In the places where the adapters and we ourselves name a trouble, and in the adapters' tables of codes.
_RAISED = re.compile(
    r"""(?:Refused|Unclear|Unreachable|_open_failure|publish_stuck|report)\(\s*(?:[\w. ]+,\s*)?["']([a-z_]+)["']"""
)
_TABLE = re.compile(r"""\b\d{3}: ["']([a-z_]+)["']""")
_RETURNED = re.compile(r"""return ["']([a-z_]+)["']""")


def raised() -> set[str]:
    adapters = list((ROOT / "catalog/provider").glob("*.py")) + [ROOT / "catalog/line.py"]
    ours = [ROOT / f"enrollment/{name}.py" for name in ("provisioning", "outcomes", "agreeing")]
    found = {code for path in adapters + ours for code in _RAISED.findall(path.read_text(encoding="utf-8"))}
    exchange = (ROOT / "catalog/provider/exchange.py").read_text(encoding="utf-8")
    found |= set(_TABLE.findall(exchange)) | set(_RETURNED.findall(exchange))
    return found | PROVIDER_WIDE | {"rate_limited", "crashed", outcomes.NOT_ERASED_YET}


def test_every_code_that_can_be_raised_has_words() -> None:
    assert {"timeout", "server_error", "limit_reached", "name_taken", "no_turn", "same_id"} < raised()
    assert raised() - troubles.TROUBLES.keys() == set()


def test_words_are_told_by_the_code_or_by_what_an_event_keeps_of_it() -> None:
    with translation.override("en"):
        assert troubles.in_words("name_taken").startswith("Another account at the provider")
        assert timeline.in_words("name_taken") == troubles.in_words("name_taken")
    assert troubles.in_words("something_new") == "something_new"
    assert troubles.in_words("") == ""


def test_codes_differ_in_what_an_event_keeps_of_them() -> None:
    assert len({code[:20] for code in troubles.TROUBLES}) == len(troubles.TROUBLES)
