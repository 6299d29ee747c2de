"""The platform's accounts: served from memory by scim2-server, kept over a restart in a journal."""

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scim2_models import Resource, ResourceType
from scim2_server.memory import InMemoryStorage

Models = Mapping[str, type[Resource[Any]]]


class KeptAccounts(InMemoryStorage):
    """One line of JSON a change, written before it is answered: a kill loses no answered change.

    A line that cannot be read (the last one, cut off by a kill) is passed over; the file as it was found is
    then kept beside it as `….broken`.
    """

    def __init__(self, journal: Path, models: Models) -> None:
        super().__init__()
        kept = _replay(journal, models)
        self.resources = list(kept)
        self.versions = itertools.count(1 + max(map(_version, kept), default=0))
        _rewrite(journal, kept)
        self._journal = journal.open("ab", buffering=0)

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        with self.lock:
            return self._note(super().create(resource_type, resource))

    def update(
        self,
        resource_type: ResourceType,
        resource: Resource[Any],
        *,
        expected_version: str | None = None,
    ) -> Resource[Any]:
        with self.lock:
            return self._note(super().update(resource_type, resource, expected_version=expected_version))

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        with self.lock:
            super().delete(resource_type, resource_id, expected_version=expected_version)
            self._journal.write(_line({"removed": resource_id}))

    def close(self) -> None:
        self._journal.close()

    def _note(self, resource: Resource[Any]) -> Resource[Any]:
        self._journal.write(_line({"saved": resource.model_dump()}))
        return resource


def _replay(journal: Path, models: Models) -> list[Resource[Any]]:
    kept: dict[str, Resource[Any]] = {}
    broken = 0
    for line in _lines(journal):
        try:
            _apply(json.loads(line), kept, models)
        except (ValueError, KeyError, TypeError):
            broken += 1
    if broken:
        shutil.copy(journal, journal.with_name(journal.name + ".broken"))
    return list(kept.values())


def _apply(change: dict[str, Any], kept: dict[str, Resource[Any]], models: Models) -> None:
    if "removed" in change:
        kept.pop(change["removed"], None)
        return
    saved = change["saved"]
    kept[saved["id"]] = models[saved["meta"]["resourceType"]].model_validate(saved)


def _lines(journal: Path) -> Iterator[bytes]:
    if journal.exists():
        yield from journal.read_bytes().splitlines()


def _rewrite(journal: Path, kept: list[Resource[Any]]) -> None:
    journal.parent.mkdir(parents=True, exist_ok=True)
    fresh = journal.with_name(journal.name + ".new")
    fresh.write_bytes(b"".join(_line({"saved": resource.model_dump()}) for resource in kept))
    os.replace(fresh, journal)


def _line(change: dict[str, Any]) -> bytes:
    return json.dumps(change).encode() + b"\n"


def _version(resource: Resource[Any]) -> int:
    """A version must not come back after a restart, or a stale If-Match would fit."""
    found = re.search(r"\d+", (resource.meta.version if resource.meta else None) or "")
    return int(found[0]) if found else 0
