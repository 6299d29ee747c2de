"""The house rules (docs/architecture.md), read from the syntax trees. Every rule is shown to be able to fail."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).parent.parent
APPS = ("catalog", "libraries", "enrollment")
# How the portal connects to other systems: known to the adapters, and knows no app itself.
NETWORK_PACKAGE = "outgoing"
# An app may import itself and these.
MAY_IMPORT = {"catalog": (), "libraries": (), "enrollment": ("catalog", "libraries")}
# Inside an app and across: downwards or sideways only. A new module gets its place here.
LAYERS = {
    "pages and commands": "admin views urls management templatetags accounts openid openid_provider arriving",
    "forms, reports, tasks, letters": "forms reports tasks letters drafts drafting staff_drafts course_drafts",
    "operations": (
        "line breaker tallies reaching applying at_the_desk asking asking_again moving new_cards card_checking rivalry"
        " probing ending renewing lapsing using announcing prioritizing waiting_list cap cap_plan closing provisioning"
        " agreeing outcomes stuck alarming reminding scarcity merging merge_plan"
        " roster_uploading membership rosters people address_codes system_checks provider_checks identities"
        " rechecking roster_fetching noticing erasing erasing_again erase_plan sessions launch"
        " comparing reconciling repairing finishing rotation rotating leaving course_lists course_importing"
        " searching following tool_checks registering signing_on"
    ),
    "rules": "seats share_moves eligibility starting history scoping limits guessing fuse offer_rules",
    "models": "models",
    "adapters, which know no models": (
        "provider cards covers cover_pictures shelf secrets privacy colors doorbell roster_files roster_places"
        " openid_requests openid_tokens erasure_list drawing_certificates course_files workbook_bombs dates"
    ),
}
LAYER_OF = {module: number for number, names in enumerate(LAYERS.values(), 1) for module in names.split()}
FAMILIES = {
    "admin_forms": 1,
    "cap_forms": 1,
    "closing_forms": 1,
    "merge_forms": 1,
    "rotation_forms": 1,
    "_admin": 1,
    "admin_": 1,
    "_forms": 2,
}
OPERATIONS, MODELS, ADAPTERS = 3, 5, 6
ANYWHERE = {"apps", "migrations", "__init__"}

MOST_LINES = {"settings.py": 300, "admin": 150}
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 400, 60
FORBIDDEN_NAMES = {"utils", "helpers", "common", "services", "signals", "misc", "receivers", "handlers"}
NETWORK = re.compile(
    r"^(requests\.|urllib\.|smtplib\.|outgoing\.|.*\burlopen$|.*\bclient_for$|.*\bsend_mail$|.*message\.send$)"
)
NETWORK_OBJECT = re.compile(r"(^|[._])(client|exchange|check)\.\w+$")
DOORS = re.compile(
    r"(^requests\.(get|post|put|patch|delete|head|options|request|session|Session)$"
    r"|(^|\.)(urlopen|create_connection|HTTPS?Connection|PoolManager)$|^socket\.socket$)"
)
FOREIGN_KEYS = {"ForeignKey", "OneToOneField", "ManyToManyField"}


@dataclass(frozen=True)
class Module:
    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def app(self) -> str:
        return self.path.parts[0]

    @property
    def layer(self) -> int | None:
        return layer_of(self.path.with_suffix("").parts[1]) if self.app in APPS else None

    @cached_property
    def imports(self) -> list[str]:
        """Dotted names, those that are imported from a module with that module before them."""
        names: list[str] = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                start = "." * node.level + (node.module or "")
                names += [f"{start}.{alias.name}" for alias in node.names]
        return names

    @cached_property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def layer_of(module: str) -> int | None:
    """By its name, or by the family that its name shows (`scoped_admin`, `account_forms`)."""
    families = (layer for part, layer in FAMILIES.items() if module.startswith(part) or module.endswith(part))
    return LAYER_OF.get(module) or next(families, None)


def calls(node: ast.AST) -> Iterator[str]:
    yield from (ast.unparse(each.func) for each in ast.walk(node) if isinstance(each, ast.Call))


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


# --- The rules of the code: each yields what breaks it ---


def apps_import_one_way(module: Module) -> Iterator[str]:
    if module.app in APPS:
        allowed = (module.app, *MAY_IMPORT[module.app])
        for name in module.imports:
            if name.split(".")[0] in {*APPS, "portal", "tests", "benchmarks"} - set(allowed):
                yield f"imports {name}"
    if module.app == NETWORK_PACKAGE:
        outside = (*APPS, "portal", "tests", "benchmarks", "django")
        yield from (f"imports {name}" for name in module.imports if name.split(".")[0] in outside)
    if module.app == "portal":
        yield from (f"imports {name}" for name in module.imports if name.startswith("tests"))
    yield from (f"imports {name} relatively" for name in module.imports if name.startswith("."))


def every_module_has_a_layer(module: Module) -> Iterator[str]:
    name = module.path.with_suffix("").parts[1]
    if module.app in APPS and name not in ANYWHERE and module.layer is None:
        yield "has no place in LAYERS"


def layers_import_downwards(module: Module) -> Iterator[str]:
    for app, *names in (name.split(".") for name in module.imports):
        lower = layer_of(names[0]) if app in APPS and names else None
        if module.layer and lower and lower < module.layer:
            yield f"imports {app}.{names[0]}, which is above it"


def adapters_know_no_models(module: Module) -> Iterator[str]:
    if module.layer == ADAPTERS:
        outside = re.compile(
            r"((?:catalog|enrollment|libraries)\.models\b|django\.contrib|django\.db\b(?!\.models\.TextChoices))"
        )
        yield from (f"imports {name}" for name in module.imports if outside.match(name))


def cards_are_decided_through_operations(module: Module) -> Iterator[str]:
    """Enrollment's operations record the event; whoever calls membership himself leaves none."""
    allowed = module.layer == OPERATIONS and module.app in ("enrollment", "libraries")
    if not allowed and module.app in (*APPS, "portal") and module.path.parts[1] != "sandbox":
        yield from (f"imports {name}" for name in module.imports if name.startswith("libraries.membership"))


def modules_are_named_by_what_is_done(module: Module) -> Iterator[str]:
    yield from (f"is called {part}" for part in module.path.with_suffix("").parts if part in FORBIDDEN_NAMES)


def nobody_listens_to_signals(module: Module) -> Iterator[str]:
    if any(re.search(r"\b(signals|dispatch)\b", name) for name in module.imports):
        yield "imports signals"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "receiver":
            yield "has a @receiver"
        elif isinstance(node, ast.Call) and re.search(
            r"(^|[._])(signals?\b.*|\w+_(save|delete|init))\.connect$", ast.unparse(node.func)
        ):
            yield "connects to a signal"


def only_the_upper_layers_ring(module: Module) -> Iterator[str]:
    if (module.layer or 0) >= OPERATIONS and module.path.name != "doorbell.py":
        for call in calls(module.tree):
            if call.split(".")[-1] in ("delay", "apply_async", "send_task", "ring"):
                yield f"calls {call}"


def transactions_do_not_wait_for_the_network(module: Module) -> Iterator[str]:
    """Also through functions of the same module."""
    reach = {function.name: set(calls(function)) for function in module.functions}
    for _ in reach:
        reach = {name: called.union(*(reach.get(call, set()) for call in called)) for name, called in reach.items()}
    for scope in transactions(module):
        called = set(calls(scope))
        for call in sorted(called.union(*(reach.get(name, set()) for name in called))):
            if NETWORK.match(call) or NETWORK_OBJECT.search(call):
                yield f"line {scope.lineno}: calls {call} in a transaction"


def transactions(module: Module) -> Iterator[ast.stmt]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef):
            ways = [ast.unparse(decorator) for decorator in node.decorator_list]
        elif isinstance(node, ast.With):
            ways = [ast.unparse(item.context_expr) for item in node.items]
        else:
            continue
        if any(re.search(r"(^|\.)(atomic|transition)\b", way) for way in ways):
            yield node


def other_systems_are_reached_in_one_way(module: Module) -> Iterator[str]:
    """`outgoing` guards what leads out (docs/adr/0013); `requests` may lend its types."""
    if module.app in APPS:
        yield from (f"calls {call}" for call in calls(module.tree) if DOORS.search(call))


def operations_are_told_the_time(module: Module) -> Iterator[str]:
    if module.layer and OPERATIONS <= module.layer <= MODELS:
        clocks = r"\b((timezone|datetime)\.now\(|(date\.today|timezone\.localdate|timezone\.localtime|time\.time)\(\))"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and re.match(clocks, call := ast.unparse(node)):
                yield f"calls {call}"


def foreign_keys_name_models(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in FOREIGN_KEYS:
            target = [*node.args, *(word.value for word in node.keywords if word.arg == "to")][0]
            if not isinstance(target, ast.Constant) and ast.unparse(target) != "settings.AUTH_USER_MODEL":
                yield f"line {node.lineno}: a foreign key to {ast.unparse(target)}"


def nothing_outside_is_read(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"(^|/)shared/", node.value):
            yield f"line {node.lineno}: names a path outside the project"


def markup_is_declared_safe_where_it_is_drawn(module: Module) -> Iterator[str]:
    if "templatetags" not in module.path.parts:
        yield from (
            f"calls {call}" for call in calls(module.tree) if call.split(".")[-1] in ("mark_safe", "SafeString")
        )


def files_and_functions_are_short(module: Module) -> Iterator[str]:
    is_admin = module.app in APPS and any(part.startswith("admin") for part in module.path.with_suffix("").parts)
    marks = [MOST_LINES_OF_A_FILE, MOST_LINES.get(module.path.name, 9999), MOST_LINES["admin"] if is_admin else 9999]
    lines = module.text.count("\n")
    if lines > min(marks):
        yield f"has {lines} lines, more than {min(marks)}"
    for function in module.functions:
        if length(function) > MOST_LINES_OF_A_FUNCTION:
            yield f"{function.name} has {length(function)} lines"


# --- The rules of the templates ---


def markup_is_escaped(module: Module) -> Iterator[str]:
    if module.path.suffix == ".html":
        yield from (
            f"holds {found[0]}" for found in re.finditer(r"\|\s*safe(?:seq)?\b|\{%\s*autoescape\s+off", module.text)
        )


def pages_hold_no_inline_code(module: Module) -> Iterator[str]:
    """Letters may: mail programs know no stylesheets. Data in a script element is not run."""
    if "email" not in str(module.path):
        markup = re.sub(r"\{#.*?#\}|\{% comment.*?endcomment %\}", "", module.text, flags=re.S)
        script = r"<script\b(?![^>]*\b(?:src=|type=\"application/json\"))"
        inline = rf"<style\b|\s(?:style|on[a-z]{{3,}})\s*=\s*[\"'{{]|javascript:|{script}"
        yield from (f"holds {found[0].strip()}" for found in re.finditer(inline, markup))


def pages_ask_nothing_of_third_parties(module: Module) -> Iterator[str]:
    asked = r"<(?:script|link|img|iframe|source|video|audio|object|embed)\b[^>]*\b(?:src|href|data)=[\"'](?:https?:)?//"
    yield from (f"holds {found[0]}" for found in re.finditer(asked, module.text))


Rule = Callable[[Module], Iterator[str]]
# Each with a file that breaks it.
CODE: list[tuple[Rule, str, str]] = [
    (apps_import_one_way, "catalog/rotation.py", "from libraries.models import Card"),
    (apps_import_one_way, "libraries/people.py", "import enrollment.seats"),
    (apps_import_one_way, "enrollment/cap.py", "def f():\n    from portal import settings"),
    (apps_import_one_way, "portal/health.py", "from tests import settings"),
    (apps_import_one_way, "outgoing/addresses.py", "from libraries.models import Card"),
    (apps_import_one_way, "enrollment/cap.py", "from . import seats"),
    (every_module_has_a_layer, "enrollment/things.py", ""),
    (layers_import_downwards, "enrollment/seats.py", "from enrollment import cap"),
    (layers_import_downwards, "enrollment/models/letter.py", "from enrollment.history import record"),
    (layers_import_downwards, "enrollment/history.py", "from libraries.people import forget_strangers"),
    (adapters_know_no_models, "libraries/cards/sip2.py", "from libraries.models import Card"),
    (adapters_know_no_models, "catalog/provider/scim.py", "from django.db import models"),
    (cards_are_decided_through_operations, "enrollment/views/join.py", "from libraries import membership"),
    (modules_are_named_by_what_is_done, "enrollment/utils.py", ""),
    (modules_are_named_by_what_is_done, "enrollment/services/seats.py", ""),
    (nobody_listens_to_signals, "libraries/people.py", "from django.db.models.signals import post_save"),
    (nobody_listens_to_signals, "libraries/people.py", "@receiver(saved)\ndef f(): ..."),
    (nobody_listens_to_signals, "libraries/people.py", "models.post_save.connect(f)"),
    (only_the_upper_layers_ring, "enrollment/applying.py", "tasks.ring()"),
    (only_the_upper_layers_ring, "enrollment/models/letter.py", "send_letters.delay(1)"),
    (transactions_do_not_wait_for_the_network, "libraries/x.py", "@transaction.atomic\ndef f(): requests.get('x')"),
    (transactions_do_not_wait_for_the_network, "libraries/x.py", "@seats.transition\ndef f(): check.ask(q)"),
    (
        transactions_do_not_wait_for_the_network,
        "libraries/x.py",
        "with transaction.atomic():\n    self._client.find(1)",
    ),
    (
        transactions_do_not_wait_for_the_network,
        "libraries/x.py",
        "def a(): client.create(p)\ndef b(): a()\n@transaction.atomic\ndef c(): b()",
    ),
    (other_systems_are_reached_in_one_way, "libraries/cards/koha.py", "with requests.Session() as session: ..."),
    (other_systems_are_reached_in_one_way, "libraries/cards/sip2.py", "socket.create_connection((host, port))"),
    (other_systems_are_reached_in_one_way, "libraries/rosters.py", "urllib.request.urlopen(url)"),
    (operations_are_told_the_time, "enrollment/cap.py", "now = timezone.now()"),
    (foreign_keys_name_models, "libraries/models/card.py", "user = models.ForeignKey(User, on_delete=x)"),
    (foreign_keys_name_models, "libraries/models/card.py", "user = models.OneToOneField(to=User)"),
    (nothing_outside_is_read, "catalog/x.py", "open('../shared/data/courses.csv')"),
    (markup_is_declared_safe_where_it_is_drawn, "enrollment/views/x.py", "mark_safe(name)"),
    (files_and_functions_are_short, "enrollment/cap.py", "x = 1\n" * 401),
    (files_and_functions_are_short, "enrollment/admin/seats.py", "x = 1\n" * 151),
    (files_and_functions_are_short, "portal/settings.py", "X = 1\n" * 301),
    (files_and_functions_are_short, "enrollment/cap.py", "def f():\n" + "    x = 1\n" * 60),
]
TEMPLATES: list[tuple[Rule, str, str]] = [
    (markup_is_escaped, "templates/x.html", "{{ name|safe }}"),
    (markup_is_escaped, "templates/x.html", "{% autoescape off %}"),
    (pages_hold_no_inline_code, "templates/x.html", '<p style="color: red">'),
    (pages_hold_no_inline_code, "templates/x.html", "<a onclick='go()'>"),
    (pages_hold_no_inline_code, "templates/x.html", "<style>p {}</style>"),
    (pages_hold_no_inline_code, "templates/x.html", "<script>go()</script>"),
    (pages_hold_no_inline_code, "templates/x.html", '<a href="javascript:go()">'),
    (pages_ask_nothing_of_third_parties, "templates/x.html", '<img alt="" src="https://elsewhere.example/x.png">'),
    (pages_ask_nothing_of_third_parties, "templates/x.html", '<link href="//elsewhere.example/x.css">'),
]
PROOFS = [*CODE, *TEMPLATES]


def modules(*folders: str, suffixes: tuple[str, ...] = (".py",)) -> list[Module]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*")) if path.suffix in suffixes]
    return [
        Module(PurePosixPath(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
        for path in paths
        if "migrations" not in path.parts
    ]


OUR_CODE = modules(*APPS, NETWORK_PACKAGE, "portal")
OUR_TEMPLATES = modules("templates", suffixes=(".html", ".txt", ".svg"))


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in CODE), ids=lambda rule: rule.__name__)
def test_code_keeps_the_rule(rule: Rule) -> None:
    assert [f"{module.path} {broken}" for module in OUR_CODE for broken in rule(module)] == []


@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, _, _ in TEMPLATES), ids=lambda rule: rule.__name__)
def test_templates_keep_the_rule(rule: Rule) -> None:
    assert [f"{template.path} {broken}" for template in OUR_TEMPLATES for broken in rule(template)] == []


@pytest.mark.parametrize(
    ("rule", "path", "text"), PROOFS, ids=[f"{rule.__name__}-{n}" for n, (rule, _, _) in enumerate(PROOFS)]
)
def test_rule_is_able_to_fail(rule: Rule, path: str, text: str) -> None:
    assert len(list(rule(Module(PurePosixPath(path), text)))) == 1


def test_tests_and_benchmarks_are_short_too() -> None:
    others = modules("tests", "benchmarks")

    assert [f"{module.path} {broken}" for module in others for broken in files_and_functions_are_short(module)] == []


def test_most_functions_are_small() -> None:
    lengths = [length(function) for module in OUR_CODE for function in module.functions]

    assert median(lengths) <= 8
    assert quantiles(lengths, n=20)[-1] <= 35
