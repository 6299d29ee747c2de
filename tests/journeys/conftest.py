"""The whole product as `make demo` starts it, and people who use it in a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from portal.sandbox.accounts import DEMO_ACCOUNTS
from tests.environment import TEST_ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS, PATIENCE = 180, 40
_number = count(time.time_ns() // 1_000_000)


@dataclass(frozen=True)
class Demo:
    site: str
    folder: Path

    def json(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.site}{path}", timeout=10) as answer:
            return json.load(answer)

    def mail_to(self, address: str, subject: str) -> str:
        """The text of the newest letter with this in its subject, once it has come."""
        return str(until(lambda: self._mail(address, subject), f"a letter “{subject}”"))

    def _mail(self, address: str, subject: str) -> str | None:
        found = [m for m in self.json(f"/sandbox/mail.json?to={quote(address)}") if subject in m["subject"]]
        return found[0]["text"] if found else None

    @cached_property
    def platform(self) -> str:
        with urllib.request.urlopen(f"{self.site}/sandbox/platform/", timeout=10) as answer:
            return str(answer.url.rstrip("/"))

    def at_platform(self, method: str, path: str, wish: object, **headers: str) -> None:
        said = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"{self.platform}{path}", json.dumps(wish).encode(), said, method=method)
        urllib.request.urlopen(request, timeout=10).close()

    def accounts_of(self, address: str) -> list[dict[str, Any]]:
        """What the training platform itself holds, counted there."""
        with urllib.request.urlopen(f"{self.platform}/state.json", timeout=10) as answer:
            return [each for each in json.load(answer)["accounts"] if each["email"] == address]


def until(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not come within {PATIENCE} s")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "portal.sandbox.demo", "--port", str(port), "--folder", str(folder / "data")]
    ours = {*TEST_ENVIRONMENT, "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"}
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    with (folder / "output").open("wb") as output:
        started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            _wait_until_ready(started, f"http://127.0.0.1:{port}", folder / "output")
            yield Demo(f"http://127.0.0.1:{port}", folder / "data")
        finally:
            started.send_signal(signal.SIGTERM)
            started.wait(timeout=20)


def _wait_until_ready(started: subprocess.Popen[bytes], site: str, output: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and started.poll() is None:
        try:
            urllib.request.urlopen(f"{site}/readyz", timeout=5).close()
        except OSError:
            time.sleep(0.3)
        else:
            return
    raise AssertionError(f"the demo did not start: {output.read_text(errors='replace')[-3000:]}")


class Person:
    """Somebody with a browser of their own. Whatever the console says against a page is kept in `complaints`."""

    def __init__(self, demo: Demo, browser: Browser, complaints: list[str]) -> None:
        self.demo = demo
        self.page: Page = browser.new_context(base_url=demo.site, locale="nl-BE").new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("console", lambda message: complaints.append(f"{self.page.url}: {message.text}"))
        self.page.on("pageerror", lambda error: complaints.append(f"{self.page.url}: {error}"))

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).first.click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name).first.click()

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)

    def reads(self, text: str) -> None:
        expect(self.page.locator("main")).to_contain_text(text, timeout=PATIENCE * 1000)

    def reads_after_a_while(self, text: str) -> None:
        def look() -> bool:
            self.page.reload()
            return text in self.page.locator("main").inner_text()

        until(look, f"“{text}”")


class Member(Person):
    def __init__(self, demo: Demo, browser: Browser, complaints: list[str], name: str) -> None:
        super().__init__(demo, browser, complaints)
        self.name = name
        self.number = str(next(_number))
        self.email = f"{name.lower()}.{self.number}@example.test"

    def applies(self, *, library: str, number: str = "", pin: str = "") -> None:
        """From the front page to the result: email address, code, library, card."""
        self.page.goto("/en/")
        self.page.get_by_role("link", name=re.compile("Apply for your place|Join the queue")).first.click()
        self.fill("Your email address", self.email)
        self.press("Send me a code")
        code = re.search(r"\d{4}-\d{4}", self.demo.mail_to(self.email, "code"))
        assert code is not None
        self.page.get_by_label("Code").fill(code.group())
        self.press("Go on")
        self.follow(library)
        self.fill("Number of your library card", number or self.number)
        if pin:
            self.fill("PIN of your library card", pin)
        self.fill("First name", self.name)
        self.fill("Last name", "Peeters")
        self.press("Apply for your place")


class Staff(Person):
    used: ClassVar[set[str]] = set()

    def signs_in(self, email: str) -> None:
        """With a password and the code of the second factor."""
        account = next(each for each in DEMO_ACCOUNTS if each.email == email)
        self.page.goto("/en/admin/")
        self.page.get_by_label("Email address").fill(email)
        self.page.get_by_label("Password").fill(account.password)
        self.press("Sign in")
        self.page.locator("input[name=code]").fill(self._code(email))
        self.page.locator("main form button").first.click()
        self.page.wait_for_url("**/admin/")

    def _code(self, email: str) -> str:
        """A code works once: whoever signs in again within half a minute waits for the next."""

        def look() -> str | None:
            codes = self.demo.json("/sandbox/codes.json")["staff"]
            code = str(next(each["code"] for each in codes if each["email"] == email))
            return None if code in self.used else code

        code = str(until(look, "the next code"))
        self.used.add(code)
        return code


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the browser's console said; a journey leaves it empty."""
    said: list[str] = []
    yield said
    assert said == []
