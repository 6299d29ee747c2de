"""What another project's tool makes of it: pylti1p3next asks for a token, reads the line item and sends a grade."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pylti1p3.assignments_grades import AssignmentsGradesService
from pylti1p3.exception import LtiServiceException
from pylti1p3.grade import Grade
from pylti1p3.registration import Registration
from pylti1p3.service_connector import ServiceConnector
from pytest_django.live_server_helper import LiveServer

from enrollment.launch import addresses
from enrollment.launch.tokens import LINE_ITEM, SCORE
from enrollment.models import CourseRun, Enrollment
from tests.enrollment.launch.learners import begin, seat, sub_of
from tests.enrollment.views.shelf_of_courses import make_course
from tests.tools import CLIENT_ID, make_tool, private_pem, public_jwk, public_pem

pytestmark = pytest.mark.django_db(transaction=True)


class Connector(ServiceConnector):
    """Keeps its token as a tool does."""

    def __init__(self, registration: Registration) -> None:
        super().__init__(registration)
        self.tokens: dict[str, str] = {}

    def _get_cached_access_token(self, scope_key: str) -> str | None:
        return self.tokens.get(scope_key)

    def _cache_access_token(self, scope_key: str, access_token: str, expires_in: float) -> None:
        assert expires_in == 3600
        self.tokens[scope_key] = access_token


@pytest.fixture
def ada(live_server: LiveServer, settings: Any) -> Enrollment:
    settings.SITE_URL = live_server.url
    kid = Registration.get_jwk(public_pem())["kid"]
    make_tool(keyset={"keys": [public_jwk(kid=kid)]})
    enrollment = seat()
    begin(enrollment, make_course())
    return enrollment


def service(course_id: int) -> AssignmentsGradesService:
    registration = Registration()
    registration.set_issuer(addresses.issuer()).set_client_id(CLIENT_ID).set_auth_token_url(addresses.token())
    registration.set_tool_private_key(private_pem()).set_tool_public_key(public_pem())
    told: Any = {"scope": [LINE_ITEM, SCORE], "lineitem": addresses.line_item(course_id)}
    return AssignmentsGradesService(Connector(registration), told)


def grade(ada: Enrollment, given: float, activity: str, at: Any) -> Grade:
    made = Grade().set_score_given(given).set_score_maximum(100).set_activity_progress(activity)
    return made.set_grading_progress("FullyGraded").set_timestamp(at).set_user_id(sub_of(ada))


def test_grades_arrive_and_an_older_one_is_an_error(ada: Enrollment) -> None:
    run, now = CourseRun.objects.get(), timezone.now()
    theirs = service(run.course_id)
    assert theirs.get_lineitem().get_label() == "Spaans voor beginners"
    theirs.put_grade(grade(ada, 40, "InProgress", now - timedelta(minutes=1)))
    theirs.put_grade(grade(ada, 100, "Completed", now))
    with pytest.raises(LtiServiceException) as error:
        theirs.put_grade(grade(ada, 50, "InProgress", now - timedelta(seconds=30)))
    assert error.value.response.status_code == 409
    run.refresh_from_db()
    assert (run.progress, run.activity, run.completed_at is not None) == (1.0, "Completed", True)
