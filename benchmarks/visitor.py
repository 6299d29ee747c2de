"""A browser without a screen: keeps its cookies, follows redirects, and reads the code in its mail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.load import Address

REDIRECTS = (301, 302, 303)
TO, CODE = re.compile(rb"^X-RcptTo: (\S+)", re.MULTILINE), re.compile(rb"^(\d{4}-?\d{4})\s*$", re.MULTILINE)


class Visitor:
    def __init__(self, site: Address, network: str) -> None:
        self._site, self._network = site, network
        self._cookies: dict[str, str] = {}
        self.requests = 0

    async def get(self, path: str) -> str:
        """The address of the page that is shown in the end."""
        return await self._follow("GET", path, {})

    async def post(self, path: str, form: Mapping[str, str]) -> str:
        return await self._follow("POST", path, {**form, "csrfmiddlewaretoken": self._cookies["csrf"]})

    async def _follow(self, method: str, path: str, form: Mapping[str, str]) -> str:
        status, location = await self._send(method, path, urlencode(form).encode() if form else b"")
        if status in REDIRECTS:
            return await self.get(location)
        if status != 200:
            raise RuntimeError(f"{method} {path} was answered with {status}")
        return path

    async def _send(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        self.requests += 1
        reader, writer = await asyncio.open_connection(*self._site)
        writer.write(f"{method} {path} HTTP/1.1\r\n{self._head(len(body))}\r\n\r\n".encode() + body)
        head, _, _rest = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        lines = head.decode("latin-1").split("\r\n")
        headers = [line.split(": ", 1) for line in lines[1:]]
        for name, value in headers:
            if name.lower() == "set-cookie":
                self._cookies |= {key: morsel.value for key, morsel in SimpleCookie(value).items()}
        location = next((value for name, value in headers if name.lower() == "location"), "")
        return int(lines[0].split()[1]), location

    def _head(self, length: int) -> str:
        lines = [
            "Host: 127.0.0.1",
            f"Cookie: {'; '.join(f'{name}={value}' for name, value in self._cookies.items())}",
            f"X-Forwarded-For: {self._network}",
            "X-Forwarded-Proto: http",
            "Connection: close",
        ]
        if length:
            lines += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {length}"]
        return "\r\n".join(lines)


class Codes:
    """Looks into the mailbox for everybody: whose code has come?"""

    def __init__(self, mailbox: Path) -> None:
        self._folder, self._seen = mailbox / "new", set[str]()
        self._codes: dict[str, str] = {}

    async def of(self, email: str) -> str:
        while email not in self._codes:
            self._look()
            await asyncio.sleep(0.01)
        return self._codes.pop(email)

    def _look(self) -> None:
        for file in self._folder.iterdir() if self._folder.is_dir() else ():
            if file.name not in self._seen:
                self._seen.add(file.name)
                self._note(file.read_bytes())

    def _note(self, mail: bytes) -> None:
        to, code = TO.search(mail), CODE.search(mail)
        if to and code:
            self._codes[to[1].decode()] = code[1].decode()
