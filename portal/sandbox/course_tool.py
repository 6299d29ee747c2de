"""The sandbox's courses: an LTI 1.3 tool, made on pylti1p3, that a portal starts and that tells it how far somebody is.

A start comes in two halves (`/courses/lti/login`, then `/courses/lti/launch`) and ends on a page of its own,
`/courses/at/<number of the start>`, which only the browser that made the start is shown. Where courses are to be
picked (deep linking), that page offers them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import requests
from jwcrypto.common import JWException  # type: ignore[import-untyped]
from pylti1p3.deep_link_resource import DeepLinkResource
from pylti1p3.exception import LtiException, LtiServiceException, OIDCException
from pylti1p3.exception import ToolConfException as UnknownPortal
from pylti1p3.grade import Grade
from pylti1p3.lineitem import LineItem
from pylti1p3.message_launch import MessageLaunch
from pylti1p3.session import SessionService
from pylti1p3.tool_config.dict import ToolConfDict

from enrollment.launch import addresses
from portal.sandbox import course_tool_page as pages
from portal.sandbox.course_tool_adapters import (
    Answer,
    Asked,
    ToolConnector,
    ToolCookies,
    ToolLaunch,
    ToolLogin,
    ToolRequest,
    ToThePortal,
    cookie,
    see,
)
from portal.sandbox.course_tool_facts import (
    CLIENT_ID,
    DEEP_LINKING,
    DEPLOYMENT_ID,
    KEYSET,
    LAUNCH,
    LOGIN,
    titles,
)
from portal.sandbox.course_tool_kept import START, Claims, Kept, Passing, private_key, public_key

Message = MessageLaunch[Any, Any, Any, Any]

SESSION = "sandbox-courses"
SESSION_SECONDS = 24 * 3600
AT = "/courses/at/"
# What a button says of the course: percent, and AGS 2.0, 3.4.7 and 3.4.8.
PROGRESS = {"quarter": (25, "InProgress", "Pending"), "done": (100, "Completed", "FullyGraded")}
# The library takes the shape of what it is sent for granted in places.
UNUSABLE = (
    *(LtiException, OIDCException, UnknownPortal, jwt.PyJWTError, JWException),
    *(AttributeError, LookupError, TypeError, ValueError),
)


class CourseTool:
    """`site`: the portal's address. `address`: of the training platform. `knows`: whether an account with this number
    is open there."""

    def __init__(self, *, site: str, address: str, folder: Path, knows: Callable[[str], bool]) -> None:
        self._site, self._address, self._knows = site, address, knows
        self._kept = Kept(folder / "course_tool.json")
        self._passing = Passing(self._kept)
        self._config = _config(site, private_key(folder / "course_tool.pem"))

    def answer(self, asked: Asked) -> Answer:
        match asked.method, asked.path:
            case "GET", path if path == KEYSET:
                return Answer(HTTPStatus.OK, pages.as_json(self._config.get_jwks()), "application/json")
            case "GET" | "POST", path if path == LOGIN:
                return self._log_in(asked)
            case "POST", path if path in (LAUNCH, DEEP_LINKING):
                return self._launch(asked)
            case "GET" | "POST", path if path.startswith(AT):
                return self._at(asked, path.removeprefix(AT))
            case "GET", _:
                return self._trouble(HTTPStatus.NOT_FOUND, "Courses are started from the portal.")
        return self._trouble(HTTPStatus.METHOD_NOT_ALLOWED, "This cannot be asked here.")

    # --- A start ---

    def _log_in(self, asked: Asked) -> Answer:
        """Third-party initiated login (LTI security framework 1.0, 5.1.1.1)."""
        request = ToolRequest(asked)
        target = DEEP_LINKING if request.get_param("target_link_uri") == self._address + DEEP_LINKING else LAUNCH
        login = ToolLogin(
            request,
            self._config,
            session_service=SessionService(request),
            cookie_service=ToolCookies(request),
            launch_data_storage=self._passing,
        )
        try:
            return login.redirect(self._address + target)
        except UNUSABLE as error:
            return self._trouble(HTTPStatus.BAD_REQUEST, "This start cannot be used.", str(error))

    def _launch(self, asked: Asked) -> Answer:
        launch = self._message(ToolLaunch, ToolRequest(asked))
        launch.set_jwt_verify_options({"verify_aud": False, "require": ["exp", "iat", "sub", "iss", "aud"]})
        try:
            launch.validate()
        except UNUSABLE as error:
            return self._trouble(HTTPStatus.FORBIDDEN, "This start cannot be used.", str(error))
        subject = str(launch.get_launch_data()["sub"])
        if launch.is_resource_launch() and not self._knows(subject):
            self._kept.forget(subject)
            return self._no_account(subject)
        session = secrets.token_urlsafe(32)
        self._kept.keep_session(session, subject)
        number = launch.get_launch_id().removeprefix(START)
        return see(f"{AT}{number}", f"{cookie(SESSION, session, SESSION_SECONDS)}; SameSite=Lax")

    def _message(self, kind: Callable[..., Message], request: ToolRequest, **more: Any) -> Message:
        return kind(
            request=request,
            tool_config=self._config,
            session_service=SessionService(request),
            cookie_service=ToolCookies(request),
            launch_data_storage=self._passing,
            requests_session=ToThePortal(),
            service_connector_cls=ToolConnector,
            **more,
        )

    # --- The page of a start ---

    def _at(self, asked: Asked, number: str) -> Answer:
        claims = self._kept.start(START + number)
        subject = self._kept.subject(asked.cookies.get(SESSION, ""))
        if claims is None or subject is None or claims["sub"] != subject:
            return self._trouble(HTTPStatus.NOT_FOUND, "Here is no start of yours. Start the course from the portal.")
        if asked.origin not in (None, self._address) and asked.method == "POST":
            return self._trouble(HTTPStatus.FORBIDDEN, "Not from there.")
        launch = self._message(ToolLaunch.from_cache, ToolRequest(asked), launch_id=START + number)
        if launch.is_deep_link_launch():
            return self._pick(launch, asked) if asked.method == "POST" else self._offer(launch)
        if not self._knows(subject):
            self._kept.forget(subject)
            return self._no_account(subject)
        return self._act(launch, asked) if asked.method == "POST" else self._course(claims)

    def _course(self, claims: Claims, trouble: pages.Trouble | None = None) -> Answer:
        progress = self._kept.progress(str(claims["sub"]), _link(claims))
        shown = pages.course(claims, progress=progress, back=self._back(claims), trouble=trouble)
        return Answer(HTTPStatus.BAD_GATEWAY if trouble else HTTPStatus.OK, shown)

    def _act(self, launch: Message, asked: Asked) -> Answer:
        claims = launch.get_launch_data()
        subject, wish = str(claims["sub"]), asked.fields.get("do", "")
        if wish == "forget":
            self._kept.forget(subject)
            gone = f"{cookie(SESSION, '', 0)}; SameSite=Lax"
            return Answer(HTTPStatus.OK, pages.forgotten(self._back(claims)), headers=[("Set-Cookie", gone)])
        if wish not in PROGRESS:
            return self._trouble(HTTPStatus.BAD_REQUEST, "There is no such button.")
        trouble = self._tell(launch, subject, *PROGRESS[wish])
        if trouble:
            return self._course(claims, trouble)
        self._kept.keep_progress(subject, _link(claims), PROGRESS[wish][0])
        return see(asked.path)

    def _tell(self, launch: Message, subject: str, percent: int, activity: str, grading: str) -> pages.Trouble | None:
        """Posts a score to the portal (AGS 2.0, 3.4); says what it did not take."""
        grade = Grade().set_score_given(percent).set_score_maximum(100).set_user_id(subject)
        grade.set_activity_progress(activity).set_grading_progress(grading)
        grade.set_timestamp(datetime.now(UTC).isoformat())
        try:
            launch.get_ags().put_grade(grade)
        except LtiServiceException as error:
            token = error.response.url == self._site + "/" + addresses.TOKEN
            what = "The portal gave no token." if token else "The portal did not take the score."
            return pages.Trouble(what, error.response.status_code, error.response.text)
        except requests.RequestException as error:
            return pages.Trouble("The portal could not be reached.", None, type(error).__name__)
        except UNUSABLE as error:
            return pages.Trouble("The portal's answer makes no sense.", None, str(error))
        return None

    # --- Picking courses (LTI deep linking 2.0) ---

    def _offer(self, launch: Message, *, nothing: bool = False) -> Answer:
        settings = _settings(launch.get_launch_data())
        return Answer(HTTPStatus.OK, pages.offer(titles(), several=_several(settings), nothing=nothing))

    def _pick(self, launch: Message, asked: Asked) -> Answer:
        """One more form, for the portal, as this page has no script that could send it by itself."""
        settings = _settings(launch.get_launch_data())
        address = str(settings.get("deep_link_return_url"))
        if not self._is_at_the_portal(address):
            return self._trouble(HTTPStatus.FORBIDDEN, "The portal wants the answer somewhere else.", address)
        picked = [code for code in dict.fromkeys(asked.lists.get("course", ())) if code in titles()]
        if asked.fields.get("do") == "nothing":
            picked = []
        elif not picked:
            return self._offer(launch, nothing=True)
        picked = picked if _several(settings) else picked[:1]
        token = launch.get_deep_link().get_response_jwt([self._resource(code) for code in picked])
        shown = pages.picked([titles()[code] for code in picked], address=address, token=token)
        return Answer(HTTPStatus.OK, shown, sends_to=self._site)

    def _resource(self, code: str) -> DeepLinkResource:
        resource = DeepLinkResource().set_title(titles()[code]).set_url(self._address + LAUNCH)
        line = LineItem().set_score_maximum(100).set_label(titles()[code]).set_resource_id(code)
        return resource.set_custom_params({"course": code}).set_lineitem(line)

    # --- Where it cannot go on ---

    def _back(self, claims: Mapping[str, Any]) -> str:
        """Where the portal wants people back, if that is at the portal."""
        address = (claims.get("https://purl.imsglobal.org/spec/lti/claim/launch_presentation") or {}).get("return_url")
        return str(address) if self._is_at_the_portal(str(address)) else self._site

    def _is_at_the_portal(self, address: str) -> bool:
        there, portal = urlsplit(address), urlsplit(self._site)
        return (there.scheme, there.netloc) == (portal.scheme, portal.netloc)

    def _no_account(self, subject: str) -> Answer:
        detail = f"The portal said that you are {subject}. Nobody with an open account here is."
        return self._trouble(HTTPStatus.FORBIDDEN, "You have no account here.", detail)

    def _trouble(self, status: HTTPStatus, what: str, detail: str = "") -> Answer:
        return Answer(status, pages.trouble(pages.Trouble(what, None, detail), back=self._site))


def _config(site: str, private: str) -> ToolConfDict:
    config = ToolConfDict(
        {
            site: {
                "client_id": CLIENT_ID,
                "deployment_ids": [DEPLOYMENT_ID],
                "auth_login_url": f"{site}/{addresses.AUTHORIZATION}",
                "auth_token_url": f"{site}/{addresses.TOKEN}",
                "key_set_url": f"{site}/{addresses.KEYSET}",
            }
        }
    )
    config.set_private_key(site, private)
    config.set_public_key(site, public_key(private))
    return config


def _link(claims: Claims) -> str:
    return str(claims["https://purl.imsglobal.org/spec/lti/claim/resource_link"]["id"])


def _settings(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = claims["https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"]
    return settings


def _several(settings: Mapping[str, Any]) -> bool:
    return settings.get("accept_multiple") in (True, "true")
