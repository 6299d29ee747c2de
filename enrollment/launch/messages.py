"""What a tool is told in the signed message that ends a launch: claims, made of what is passed in and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

# How long a tool may take to read a message; clocks differ.
LIVES = timedelta(minutes=5)

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS_ENDPOINT = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
DEEP_LINKING_SETTINGS = "https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"
LEARNER = "http://purl.imsglobal.org/vocab/lis/v2/membership#Learner"
STAFF = (
    "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator",
    "http://purl.imsglobal.org/vocab/lis/v2/membership#ContentDeveloper",
)


@dataclass(frozen=True)
class Recipient:
    """Whom a message is for (`aud`, `nonce`, `deployment_id`) and whom it is about (`sub`), by whom (`iss`)."""

    issuer: str
    client_id: str
    deployment_id: str
    subject: str
    nonce: str


@dataclass(frozen=True)
class Person:
    """What is told of a member beside the subject; empty is not told."""

    given_name: str = ""
    family_name: str = ""
    email: str = ""
    locale: str = ""


@dataclass(frozen=True)
class Start:
    """Of a course: an LTI resource link. `custom` are the provider's own parameters; `return_url` is our page of it;
    `scopes` is what the tool may ask a token for, to tell of its line item how far somebody is."""

    link_id: str
    title: str
    target: str
    context_id: str
    context_label: str
    context_title: str
    line_item: str
    scopes: Sequence[str]
    return_url: str
    language: str
    custom: Mapping[str, object]


@dataclass(frozen=True)
class Picking:
    """Of courses, by somebody of the staff; `data` comes back with the answer, to `return_url`."""

    target: str
    return_url: str
    data: str
    language: str


def message(kind: str, recipient: Recipient, *, target: str, now: datetime) -> dict[str, Any]:
    """What every message has (LTI 1.3 core, 5.3; OpenID Connect core, 2; 1EdTech security framework, 5.1.2)."""
    return {
        "iss": recipient.issuer,
        "aud": recipient.client_id,
        "sub": recipient.subject,
        "iat": int(now.timestamp()),
        "exp": int((now + LIVES).timestamp()),
        "nonce": recipient.nonce,
        f"{LTI}message_type": kind,
        f"{LTI}version": "1.3.0",
        f"{LTI}deployment_id": recipient.deployment_id,
        f"{LTI}target_link_uri": target,
    }


def of_start(start: Start, recipient: Recipient, person: Person, *, now: datetime) -> dict[str, Any]:
    """LTI 1.3 core, 5.3 and 5.4; AGS 2.0, 3.6."""
    claims = message("LtiResourceLinkRequest", recipient, target=start.target, now=now) | {
        f"{LTI}resource_link": {"id": start.link_id, "title": start.title},
        f"{LTI}roles": [LEARNER],
        f"{LTI}context": {"id": start.context_id, "label": start.context_label, "title": start.context_title},
        f"{LTI}launch_presentation": {
            "document_target": "window",
            "locale": start.language,
            "return_url": start.return_url,
        },
        AGS_ENDPOINT: {"scope": list(start.scopes), "lineitem": start.line_item},
    }
    if start.custom:
        claims[f"{LTI}custom"] = {name: _text(value) for name, value in start.custom.items()}
    return claims | _told(person)


def of_picking(asked: Picking, recipient: Recipient, *, now: datetime) -> dict[str, Any]:
    """LTI Deep Linking 2.0, 4.4."""
    return message("LtiDeepLinkingRequest", recipient, target=asked.target, now=now) | {
        f"{LTI}roles": list(STAFF),
        f"{LTI}launch_presentation": {"document_target": "window", "locale": asked.language},
        DEEP_LINKING_SETTINGS: {
            "deep_link_return_url": asked.return_url,
            "accept_types": ["ltiResourceLink"],
            "accept_presentation_document_targets": ["window"],
            "accept_multiple": True,
            "data": asked.data,
        },
    }


def _told(person: Person) -> dict[str, str]:
    name = f"{person.given_name} {person.family_name}".strip()
    return {key: value for key, value in {**vars(person), "name": name}.items() if value}


def _text(value: object) -> str:
    """Custom parameters are texts (LTI 1.3 core, 5.4.6)."""
    return value if isinstance(value, str) else json.dumps(value)
