"""What is mailed about an error says where it happened, and holds no value of anything."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.template import engines
from django.test import RequestFactory
from django.utils.log import AdminEmailHandler
from django.utils.module_loading import import_string
from django.views.debug import ExceptionReporter

from tests.factories import make_user

SECRET, EMAIL = "canary-7531", "ada@example.test"


def request() -> HttpRequest:
    made = RequestFactory().post(
        f"/en/join/?first={SECRET}",
        {"pin": SECRET, "list": SimpleUploadedFile(f"{SECRET}.csv", b"")},
        headers={"user-agent": SECRET, "referer": f"http://testserver/?{SECRET}"},
    )
    made.COOKIES["other"] = SECRET
    return made


def reports(fail: Callable[[str], object], reporter: type[ExceptionReporter]) -> tuple[str, str]:
    """As text and as HTML."""
    try:
        fail(SECRET)
    except Exception as error:
        made = reporter(request(), type(error), error, error.__traceback__, is_email=True)
        return made.get_traceback_text(), made.get_traceback_html()
    raise AssertionError("it did not fail")


def in_a_local_variable(value: str) -> None:
    kept = {"pin": value}
    raise RuntimeError(len(kept))


def in_the_words_of_the_error(value: str) -> None:
    raise ValueError(f"invalid: {value}")


def in_its_notes(value: str) -> None:
    error = ValueError()
    error.add_note(value)
    raise error


def in_the_cause(value: str) -> None:
    try:
        in_the_words_of_the_error(value)
    except ValueError as error:
        raise RuntimeError("other words") from error


def in_the_error_before(value: str) -> None:
    try:
        in_the_words_of_the_error(value)
    except ValueError:
        raise RuntimeError("other words")  # noqa: B904 - that is what is looked at


def in_letters_that_cannot_be_written(value: str) -> None:
    f"{value}\N{EURO SIGN}".encode("cp850")


def in_a_template(value: str) -> None:
    def fail() -> str:
        raise ValueError(value)

    engines["django"].from_string("{% for one in fail %}{% endfor %}{{ fail }}").render({"fail": fail})


FAILURES = [
    in_a_local_variable,
    in_the_words_of_the_error,
    in_its_notes,
    in_the_cause,
    in_the_error_before,
    in_letters_that_cannot_be_written,
    in_a_template,
]
ours = import_string(settings.DEFAULT_EXCEPTION_REPORTER)


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
def test_report_holds_no_value(fail: Callable[[str], object]) -> None:
    for report in reports(fail, ours):
        assert SECRET not in report
        assert SECRET[:6] not in report.replace("SECRET", "")
        assert settings.SECRET_KEY not in report
        assert settings.REDIS_URL not in report


@pytest.mark.parametrize("fail", FAILURES, ids=lambda fail: fail.__name__)
def test_report_of_the_framework_would_hold_it(fail: Callable[[str], object]) -> None:
    assert all(SECRET in report for report in reports(fail, ExceptionReporter))


def test_report_says_what_failed_and_where() -> None:
    for report in reports(in_the_cause, ours):
        for word in ("RuntimeError", "ValueError", "/en/join/", "POST", "test_error_reports.py", "in_the_cause"):
            assert word in report
        assert "was the direct cause of the following exception" in report


def test_report_is_what_admins_are_mailed() -> None:
    assert vars(AdminEmailHandler())["reporter_class"] is ours


def test_error_without_a_request_is_reported_too() -> None:
    try:
        in_a_local_variable(SECRET)
    except RuntimeError as error:
        made = ours(None, type(error), error, error.__traceback__)
    assert SECRET not in made.get_traceback_text() + made.get_traceback_html()


# --- The log ---


def test_log_of_a_broken_rule_quotes_no_row(db: None, caplog: pytest.LogCaptureFixture) -> None:
    make_user(EMAIL, first_name=SECRET)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        make_user(EMAIL, first_name=SECRET)
    assert EMAIL in str(caught.value)
    logging.getLogger("portal").error("It failed: %r", caught.value, exc_info=caught.value)
    said = formatter_of_the_log().format(caplog.records[-1])
    assert EMAIL not in said
    assert said.count("DETAIL: (left out)") == 3
    assert "The above exception was the direct cause of the following exception" in said
    assert said.endswith("DETAIL: (left out)")


def test_log_says_everything_else_of_an_error(caplog: pytest.LogCaptureFixture) -> None:
    try:
        in_the_cause("of it")
    except RuntimeError:
        logging.getLogger("portal").exception("It failed")
    said = formatter_of_the_log().format(caplog.records[-1])
    assert all(word in said for word in ("ERROR portal It failed", "invalid: of it", "other words", "in_the_cause"))


def formatter_of_the_log() -> logging.Formatter:
    """As the settings say."""
    logs: dict[str, Any] = dict(settings.LOGGING)
    plain = logs["formatters"]["plain"]
    made: logging.Formatter = import_string(plain["class"])(plain["format"])
    return made
