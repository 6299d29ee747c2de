"""Moodle's own manners: errors in 200, warnings in success, courses with an end."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from catalog.provider import moodle_courses
from catalog.provider.client import Access, Account, Connection, ListedCourse, Person
from catalog.provider.errors import CODES, ProviderError, Refused, Unclear, Unreachable
from catalog.provider.exchange import new_session
from catalog.provider.moodle import FUNCTIONS, MoodleClient
from catalog.provider.trial import StepName
from portal.sandbox.moodle_site import Course, Enrolment
from tests.catalog.provider.conftest import connection_to
from tests.catalog.provider.odd_server import Talk, in_turn, odd_server, saying
from tests.moodle_server import COURSES, Kind, RunningMoodle, running_moodle

UNTIL = datetime.now(UTC).replace(microsecond=0) + timedelta(days=300)
SEEN = Account("7", "3f0c-ada", "ada@example.be", "Ada", "Peeters", "nl", True)


@pytest.fixture(autouse=True)
def no_course_known() -> None:
    moodle_courses._known.clear()


def to_odd(base_url: str) -> MoodleClient:
    return MoodleClient(Connection(base_url, "odd-token", 5.0, 5.0, 15.0), new_session())


def telling(document: object) -> Talk:
    return saying("200 OK", json.dumps(document).encode(), "Content-Type: application/json")


def exception(errorcode: str, message: str = "No.") -> Talk:
    return telling({"exception": "moodle_exception", "errorcode": errorcode, "message": message})


def of(user: int = 7, **more: object) -> dict[str, object]:
    return {"id": user, "idnumber": "3f0c-ada", "suspended": False, "email": "ada@example.be", **more}


def failing(talk: Talk, name: str, *arguments: object) -> ProviderError:
    with odd_server(talk) as odd, pytest.raises(ProviderError) as error:
        getattr(to_odd(odd.base_url), name)(*arguments)
    return error.value


# --- What is sent ---


def test_token_goes_in_the_body_and_never_in_the_address() -> None:
    with odd_server(telling([])) as odd:
        to_odd(odd.base_url).find("3f0c-ada")
    head, _, body = odd.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /v2/webservice/rest/server.php HTTP/1.1"
    assert b"odd-token" not in head
    assert parse_qs(body.decode()) == {
        "moodlewsrestformat": ["json"],
        "wsfunction": ["core_user_get_users_by_field"],
        "field": ["idnumber"],
        "values[0]": ["3f0c-ada"],
        "wstoken": ["odd-token"],
    }


def test_account_is_made_with_a_password_that_moodle_makes(ada: Person) -> None:
    talk = in_turn(telling([]), telling([]), telling([{"id": 7, "username": ada.email}]), telling([of()]))
    with odd_server(talk) as odd:
        assert to_odd(odd.base_url).create(ada) == replace(SEEN, first_name=None, last_name=None, language=None)
    sent = parse_qs(odd.requests[2].partition(b"\r\n\r\n")[2].decode())
    assert {name: value for name, (value,) in sent.items() if name.startswith("users")} == {
        "users[0][username]": "ada@example.be",
        "users[0][email]": "ada@example.be",
        "users[0][firstname]": "Ada",
        "users[0][lastname]": "Peeters",
        "users[0][lang]": "nl",
        "users[0][idnumber]": "3f0c-ada",
        "users[0][auth]": "manual",
        "users[0][createpassword]": "1",
    }


@pytest.mark.parametrize(
    ("email", "name"),
    [("Ada@Example.be", "ada@example.be"), ("ada+x@example.be", "3f0c-ada"), ("o'neil@example.be", "3f0c-ada")],
)
def test_user_name_is_the_address_where_moodle_allows_it(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person, email: str, name: str
) -> None:
    moodle_client.create(replace(ada, email=email))
    assert [(account["user_name"], account["email"]) for account in moodle.accounts()] == [(name, email)]


def test_making_an_account_takes_four_calls(moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person) -> None:
    account = moodle_client.create(ada)
    assert moodle.calls() == {"core_user_get_users_by_field": 3, "core_user_create_users": 1}
    moodle_client.give_access(account, access("excel"))
    moodle_client.give_access(account, access("excel"))  # now the course is known
    assert moodle.calls()["enrol_manual_enrol_users"] + moodle.calls()["core_enrol_get_users_courses"] == 2 * 2
    assert MoodleClient.calls_to_open == 4 + 2


# --- Errors in 200 ---


@pytest.mark.parametrize(
    ("errorcode", "kind", "code"),
    [
        ("invalidtoken", Refused, "bad_token"),
        ("accessexception", Refused, "not_allowed"),
        ("nopermissions", Refused, "not_allowed"),
        ("invalidparameter", Refused, "bad_request"),
        ("sitemaintenance", Unreachable, "server_error"),
        ("dmlreadexception", Unreachable, "server_error"),
    ],
)
def test_exception_of_a_look_is_named_by_what_to_do(errorcode: str, kind: type[ProviderError], code: str) -> None:
    error = failing(exception(errorcode), "find", "x")
    assert (type(error), error.code, error.code in CODES) == (kind, code, True)
    assert f'"errorcode": "{errorcode}"' in error.answer


@pytest.mark.parametrize(
    ("errorcode", "kind", "code"),
    [("sitemaintenance", Unreachable, "server_error"), ("dmlwriteexception", Unclear, "server_error")],
)
def test_exception_of_a_write_may_come_after_it(errorcode: str, kind: type[ProviderError], code: str) -> None:
    error = failing(exception(errorcode), "close", SEEN)
    assert (type(error), error.code) == (kind, code)


@pytest.mark.parametrize(
    ("warning", "kind", "code"),
    [
        ("invaliduserid", Unclear, "gone"),
        ("usernotupdateddeleted", Unclear, "gone"),
        ("useremailduplicate", Refused, "name_taken"),
        ("usernotupdatedadmin", Refused, "bad_request"),
        ("dmlwriteexception", Unclear, "server_error"),
    ],
)
def test_warning_in_a_success_is_a_failure(warning: str, kind: type[ProviderError], code: str) -> None:
    told = {"warnings": [{"item": "user", "itemid": 7, "warningcode": warning, "message": "Ada was not updated"}]}
    error = failing(telling(told), "close", SEEN)
    assert (type(error), error.code) == (kind, code)
    assert (f'"warningcode": "{warning}"' in error.answer, "Ada" in error.answer) == (True, False)


@pytest.mark.parametrize(
    "document", [[], {}, 7, "ok", {"warnings": ["x"]}, {"warnings": None}], ids=lambda document: json.dumps(document)
)
def test_answer_to_a_change_that_makes_no_sense_is_unclear(document: object) -> None:
    error = failing(telling(document), "close", SEEN)
    assert (type(error), error.code) == (Unclear, "bad_answer")


@pytest.mark.parametrize("body", [b"", b"<b>Notice</b>: x in y [{}]", b"{}", b"null", b'[{"id": "7"}]', b"[7]"])
def test_answer_to_a_look_that_makes_no_sense_is_a_failed_look(body: bytes) -> None:
    error = failing(saying("200 OK", body), "find", "x")
    assert (type(error), error.code) == (Unreachable, "bad_answer")


def test_change_is_believed_only_when_it_is_seen() -> None:
    done = telling({"warnings": []})
    assert failing(in_turn(done, telling([])), "close", SEEN).code == "gone"
    other = failing(in_turn(done, telling([of(idnumber="other")])), "close", SEEN)
    assert (type(other), other.code) == (Refused, "not_ours")
    lost = failing(in_turn(done, saying("503 Down")), "close", SEEN)
    assert (type(lost), lost.code) == (Unclear, "server_error")


def test_token_that_may_not_see_everything_is_told() -> None:
    error = failing(telling([{"id": 7, "idnumber": "3f0c-ada"}]), "find", "3f0c-ada")
    assert (type(error), error.code) == (Refused, "not_allowed")


def test_users_that_were_not_asked_for_are_not_believed() -> None:
    assert failing(telling([of(idnumber="other")]), "find", "3f0c-ada").code == "filter_ignored"


# --- Making ---


def test_account_is_found_again_after_a_change_of_address(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person
) -> None:
    account = moodle_client.create(ada)
    assert moodle_client.create(replace(ada, email="ada.new@example.be")) == account
    assert len(moodle.accounts()) == 1


@pytest.mark.parametrize("email", ["ada@example.be", "ADA@Example.be"])
def test_address_that_somebody_has_is_never_adopted(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person, email: str
) -> None:
    moodle.site.add(username="ada", email=email, firstname="Ada", lastname="Other")
    with pytest.raises(Refused) as refusal:
        moodle_client.create(ada)
    assert (refusal.value.code, len(moodle.accounts())) == ("name_taken", 1)


def test_pattern_in_an_address_matches_only_itself(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person
) -> None:
    moodle.site.add(username="x", email="adaX1@example.be", firstname="X", lastname="Y")
    with pytest.raises(Refused) as refusal:
        moodle_client.create(replace(ada, email="ada_1@example.be", language="xx"))
    assert refusal.value.code == "bad_request"


def test_language_that_is_not_installed_is_a_bad_request(moodle_client: MoodleClient, ada: Person) -> None:
    with pytest.raises(Refused) as refusal:
        moodle_client.create(replace(ada, language="xx"))
    assert refusal.value.code == "bad_request"


def test_right_that_is_missing_is_told(moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person) -> None:
    moodle.fault(Kind.REFUSE, times=1)
    with pytest.raises(Refused) as refusal:
        moodle_client.create(ada)
    assert (refusal.value.code, moodle.accounts()) == ("not_allowed", [])
    assert "permissions to do that" in refusal.value.answer


def test_account_that_cannot_be_seen_after_it_was_made_is_not_taken_for_ready(ada: Person) -> None:
    made = telling([{"id": 7, "username": ada.email}])
    hidden = failing(in_turn(telling([]), telling([]), made, telling([])), "create", ada)
    assert (type(hidden), hidden.code) == (Refused, "not_allowed")
    lost = failing(in_turn(telling([]), telling([]), made, saying("503 Down")), "create", ada)
    assert (type(lost), lost.code) == (Unclear, "server_error")
    two = failing(in_turn(telling([]), telling([]), made, telling([of(7), of(8)])), "create", ada)
    assert (type(two), two.code) == (Refused, "two_matches")


def test_account_whose_making_went_wrong_is_looked_for_once(ada: Person) -> None:
    before, wrong = (telling([]), telling([])), exception("generalexceptionmessage")
    for talk in (in_turn(*before, wrong, telling([])), in_turn(*before, wrong, saying("503 Down"))):
        error = failing(talk, "create", ada)
        assert (type(error), error.code) == (Unclear, "server_error")


# --- Courses ---


def access(*courses: str, until: datetime = UNTIL) -> Access:
    return Access(courses, until)


def test_access_is_given_until_its_end_and_again_without_harm(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person
) -> None:
    account = moodle_client.create(ada)
    for _ in range(2):
        moodle_client.give_access(account, access("excel", "course-python"))
    end, user = int(UNTIL.timestamp()), int(account.remote_id)
    assert moodle.enrolments() == [Enrolment(user, 2, end), Enrolment(user, 3, end)]
    moodle_client.give_access(account, access("excel", "python", until=UNTIL + timedelta(days=1)))
    assert {enrolment.timeend for enrolment in moodle.enrolments()} == {end + 86_400}


def test_courses_that_are_no_longer_in_the_access_are_taken_back(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person, bo: Person
) -> None:
    account, other = moodle_client.create(ada), moodle_client.create(bo)
    moodle_client.give_access(account, access(*COURSES))
    moodle_client.give_access(other, access("welding"))
    moodle_client.give_access(account, access("python"))
    held = [(enrolment.user, moodle.site.courses[enrolment.course].idnumber) for enrolment in moodle.enrolments()]
    assert held == [(int(account.remote_id), "python"), (int(other.remote_id), "welding")]
    moodle_client.give_access(account, access())
    assert [enrolment.user for enrolment in moodle.enrolments()] == [int(other.remote_id)]


def test_what_was_given_in_another_way_is_left_alone(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person
) -> None:
    account = moodle_client.create(ada)
    moodle.site.courses[90] = Course(90, "welcome", "welcome", is_open=False)
    moodle.site.enrol(Enrolment(int(account.remote_id), 90, 0, by_hand=False))
    moodle_client.give_access(account, access("excel"))
    assert sorted(enrolment.course for enrolment in moodle.enrolments()) == [2, 90]


def test_course_that_is_not_known_is_told_and_the_others_are_given(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person
) -> None:
    account = moodle_client.create(ada)
    with pytest.raises(Refused) as refusal:
        moodle_client.give_access(account, access("excel", "knitting"))
    assert (refusal.value.code, "knitting" in refusal.value.answer) == ("unknown_course", True)
    assert [enrolment.course for enrolment in moodle.enrolments()] == [2]


def test_course_that_takes_nobody_by_hand_is_told(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person
) -> None:
    account = moodle_client.create(ada)
    moodle.site.courses[2] = replace(moodle.site.courses[2], is_open=False)
    with pytest.raises(Refused) as refusal:
        moodle_client.give_access(account, access("excel"))
    assert refusal.value.code == "course_closed"


def test_courses_are_looked_up_once_for_all_members(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person, bo: Person
) -> None:
    for person in (ada, bo):
        moodle_client.give_access(moodle_client.create(person), access("excel", "python"))
    assert moodle.calls()["core_course_get_courses_by_field"] == 2
    assert moodle.calls()["enrol_manual_enrol_users"] == 2


def test_end_of_an_enrolment_that_has_passed_needs_nothing(
    moodle_client: MoodleClient, moodle: RunningMoodle, ada: Person
) -> None:
    account = moodle_client.create(ada)
    moodle.site.enrol(Enrolment(int(account.remote_id), 2, int(time.time()) - 60))
    moodle_client.give_access(account, access())
    assert "enrol_manual_unenrol_users" not in moodle.calls()


# --- The rest ---


def test_trial_says_which_functions_the_service_lacks(moodle_client: MoodleClient, moodle: RunningMoodle) -> None:
    moodle.server.platform.functions -= {"core_user_delete_users", "enrol_manual_enrol_users"}
    (abilities,) = [step for step in moodle_client.try_out() if step.name == StepName.ABILITIES]
    assert (abilities.trouble, abilities.says) == ("not_supported", ("Moodle 4.4.1",))
    assert abilities.lacks == ("core_user_delete_users", "enrol_manual_enrol_users")


def test_sandbox_knows_all_functions_that_the_portal_calls(moodle: RunningMoodle) -> None:
    assert moodle.server.platform.functions == {*FUNCTIONS, "core_course_get_courses"}


def test_sandbox_keeps_its_state_over_a_kill(moodle: RunningMoodle, moodle_client: MoodleClient, ada: Person) -> None:
    account = moodle_client.create(ada)
    moodle_client.give_access(account, access("excel"))
    journal = moodle.site._journal.name
    with open(journal, "ab") as cut:
        cut.write(b'{"deleted": ')
    before, enrolments = moodle.accounts(), moodle.enrolments()
    with running_moodle(Path(journal)) as again, new_session() as session:
        assert (again.accounts(), again.enrolments()) == (before, enrolments)
        assert MoodleClient(connection_to(again), session).find(ada.external_id) == account


# --- The list of courses ---


def test_courses_are_listed_without_the_site_and_what_is_hidden() -> None:
    front = {"id": 1, "shortname": "front", "fullname": "Site", "format": "site"}
    told = {"id": 7, "idnumber": "ST-1", "shortname": "x", "fullname": "Word &amp; meer", "lang": "nl_kids"}
    hidden = {"id": 8, "shortname": "hidden", "fullname": "Hidden", "visible": 0}
    bare = {"id": 9, "shortname": "bare", "fullname": "Bare", "summary": "<p>One</p><ul><li>two <b>three</b></li></ul>"}
    with odd_server(telling([front, told, hidden, bare])) as odd:
        assert to_odd(odd.base_url).courses() == [
            ListedCourse("ST-1", "Word & meer", "nl", None),
            ListedCourse("bare", "Bare", None, "One\ntwo three"),
        ]


@pytest.mark.parametrize("document", [{}, [{"fullname": "no id"}], ["x"], "x"])
def test_list_of_courses_that_is_none_is_not_understood(document: object) -> None:
    assert failing(telling(document), "courses").code == "bad_answer"


def test_list_of_courses_that_the_token_may_not_see_is_refused() -> None:
    assert failing(exception("accessexception"), "courses").code == "not_allowed"
