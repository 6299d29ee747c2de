"""The certificate of a finished course: its owner downloads it, and whoever is shown it can check its code."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from django.test import Client
from pypdf import PdfReader

from enrollment import drawing_certificates, finishing
from enrollment.drawing_certificates import Facts
from enrollment.models import CourseRun, Enrollment
from enrollment.views import certificates
from libraries.models import Institution, User
from tests.enrollment.launch.learners import begin, seat
from tests.enrollment.views.shelf_of_courses import make_course
from tests.enrollment.views.visiting import heading_of, words_of

pytestmark = pytest.mark.django_db
FINISHED = datetime(2026, 7, 3, 12, 2, tzinfo=UTC)
FACTS = Facts(
    name="Ada Łukaszewska",
    course="Spaans voor beginners",
    hours=20,
    finished_at=FINISHED,
    institution="Stad Antwerpen",
    color="#a3262a",
    provider="SkillsTown",
    code="BCDF-GHJK-2346",
    address="https://leerkaart.test/certificates/BCDF-GHJK-2346/",
    language="nl",
)


def drawn(**changes: Any) -> PdfReader:
    return PdfReader(BytesIO(drawing_certificates.draw(Facts(**{**FACTS.__dict__, **changes}))))


def language_of(pdf: PdfReader) -> str:
    root: Any = pdf.trailer["/Root"]
    return str(root["/Lang"])


def words_in(pdf: PdfReader) -> str:
    assert len(pdf.pages) == 1
    return " ".join(pdf.pages[0].extract_text().split())


def strokes(**changes: Any) -> int:
    contents: Any = drawn(**changes).pages[0].get_contents()
    return int(contents.get_data().count(b" l S"))


@pytest.fixture
def run() -> CourseRun:
    enrollment = seat()
    User.objects.filter(pk=enrollment.user_id).update(first_name="Ada", last_name="Van-Damme", language="en")
    run = begin(enrollment, make_course(), started_at=FINISHED, last_started_at=FINISHED)
    finishing.finish(run, at=FINISHED, now=FINISHED)
    return CourseRun.objects.select_related("user").get(pk=run.pk)


@pytest.fixture
def ada(client: Client, run: CourseRun) -> Client:
    client.force_login(run.user)
    return client


# --- The paper ---


def test_paper_says_who_did_what_and_where_to_check_it() -> None:
    pdf = drawn(language="en")
    words = words_in(pdf)
    for said in ("Ada Łukaszewska", "Spaans voor beginners", "20 hours", "3 July 2026", "Stad Antwerpen", "SkillsTown"):
        assert said in words
    assert "BCDF-GHJK-2346" in words
    assert "https://leerkaart.test/certificates/BCDF-GHJK-2346/" in words
    assert pdf.metadata is not None
    assert pdf.metadata.title == "Certificate of participation: Spaans voor beginners"
    assert pdf.metadata.author == "Stad Antwerpen"
    assert language_of(pdf) == "en"


def test_letters_come_with_the_paper() -> None:
    resources: Any = drawn().pages[0]["/Resources"]
    fonts = resources["/Font"]
    for font in fonts.values():
        descendant = font.get_object()["/DescendantFonts"][0].get_object()
        assert "/FontFile2" in descendant["/FontDescriptor"].get_object()


def test_same_facts_are_the_same_bytes() -> None:
    first = drawing_certificates.draw(FACTS)
    time.sleep(1.1)  # the time is written in seconds
    assert drawing_certificates.draw(FACTS) == first


@pytest.mark.parametrize("language", ["nl", "fr", "en"])
def test_paper_is_written_in_each_language(language: str) -> None:
    assert language_of(drawn(language=language)) == language


@pytest.mark.parametrize("name", ["Γιώργος Παπαδόπουλος", "Ольга Иванова", "Nguyễn Thị Ánh", "Zoë D'Hondt-Ñandú"])
def test_names_in_other_letters_are_drawn(name: str) -> None:
    assert name in words_in(drawn(name=name))


@pytest.mark.parametrize("name", ["", "   ", "محمد علي", "山田太郎", "Ada 山田"])
def test_name_that_cannot_be_drawn_whole_leaves_a_line_to_write_on(name: str) -> None:
    words = words_in(drawn(name=name, language="en"))
    assert "We confirm that followed this course to its end:" in words


def test_name_of_pictures_alone_leaves_a_line_too() -> None:
    assert strokes(name="😀") == strokes(name="") == strokes(name="Ada") + 1


def test_pictures_in_a_name_are_left_out() -> None:
    assert "We confirm that Ada Peeters followed" in words_in(drawn(name="Ada 😀 Peeters\u202e\n", language="en"))


@pytest.mark.parametrize("text", ["x" * 200, "Wolfeschlegelsteinhausenbergerdorff " * 5, "é" * 100 + " " + "W" * 100])
def test_long_names_and_titles_stay_on_the_page(text: str) -> None:
    pdf = drawn(name=text, course=text, institution=text[:100])
    said = "".join(words_in(pdf).split())
    assert said.count("".join(text.split())) == 2
    assert "BCDF-GHJK-2346" in said


@pytest.mark.parametrize("course", ["", "日本語", "<b>&amp;</b> **x**", "a\0b\x1b"])
def test_odd_titles_harm_nothing(course: str) -> None:
    assert "BCDF-GHJK-2346" in words_in(drawn(course=course))


@pytest.mark.parametrize(
    ("course", "reads"),
    [
        ("שלום: cours d’hébreu", "cours d’hébreu"),
        ("Japans (日本語) – 日本", "Japans"),
        ("C: (een) – ja?", "C: (een) – ja?"),
    ],
)
def test_title_without_what_cannot_be_drawn_has_no_loose_ends(course: str, reads: str) -> None:
    assert drawing_certificates.drawable(course) == reads


def test_title_that_cannot_be_drawn_at_all_leaves_a_line_to_write_on() -> None:
    assert strokes(course="日本語") == strokes(course="Japans") + 1


# --- Whose it is ---


def test_member_downloads_it_in_their_own_language(ada: Client, run: CourseRun) -> None:
    answer = ada.get(f"/my/courses/{run.pk}/certificate.pdf")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer["Content-Disposition"] == 'attachment; filename="leerkaart.pdf"'
    assert "no-store" in answer["Cache-Control"]
    words = words_in(PdfReader(BytesIO(answer.content)))
    assert "Certificate of participation" in words
    assert "Ada Van-Damme" in words
    assert f"http://testserver/en/certificates/{run.certificate_code}/" in words


def test_another_member_and_a_stranger_do_not(client: Client, run: CourseRun) -> None:
    address = f"/en/my/courses/{run.pk}/certificate.pdf"
    assert client.get(address).status_code == 302
    client.force_login(User.objects.create_user("bo@example.test"))
    assert client.get(address).status_code == 404


def test_course_that_is_not_finished_has_none(ada: Client, run: CourseRun) -> None:
    other = begin(Enrollment.objects.get(), make_course("Beter slapen"))
    assert ada.get(f"/en/my/courses/{other.pk}/certificate.pdf").status_code == 404
    assert ada.get(f"/en/my/courses/{10**30}/certificate.pdf").status_code == 404
    assert ada.post(f"/en/my/courses/{run.pk}/certificate.pdf").status_code == 405


# --- Whoever is shown it ---


def test_page_tells_what_the_paper_says_but_for_the_name(client: Client, run: CourseRun) -> None:
    answer = client.get(f"/en/certificates/{run.certificate_code}/")
    words = words_of(answer)
    assert answer.status_code == 200
    assert words.startswith("This certificate is real")
    for said in ("Spaans voor beginners", "20 hours", "3 July 2026", "Antwerpen", "SkillsTown", "A. V. D."):
        assert said in words
    assert "Ada" not in words
    assert "Damme" not in answer.content.decode()
    assert answer["X-Robots-Tag"] == "noindex"
    assert "no-store" in answer["Cache-Control"]


def test_code_is_typed_as_it_comes(client: Client, run: CourseRun) -> None:
    typed = str(run.certificate_code).lower().replace("-", " ")
    answer = client.get("/en/certificates/", {"code": typed})
    assert (answer.status_code, answer["Location"]) == (302, f"/en/certificates/{run.certificate_code}/")
    assert client.get(f"/en/certificates/{typed.replace(' ', '')}/").status_code == 200


@pytest.mark.parametrize("typed", ["", "abc", "x" * 10_000, "<script>", "' OR 1=1", "😀", "\0"])
def test_what_can_be_no_code_is_told_so(client: Client, typed: str) -> None:
    answer = client.get("/en/certificates/", {"code": typed})
    assert answer.status_code == 200
    assert "<script>" not in words_of(answer)


def test_code_that_nobody_has_is_not_found(client: Client) -> None:
    answer = client.get("/en/certificates/BCDF-GHJK-2346/")
    assert answer.status_code == 404
    assert heading_of(answer) == "There is no certificate with this code"


def test_guessing_ends_soon_and_checking_does_not(
    client: Client, run: CourseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "WRONG_PER_NETWORK", 3)
    right, wrong = f"/en/certificates/{run.certificate_code}/", "/en/certificates/BCDF-GHJK-2346/"
    assert [client.get(right).status_code for _ in range(5)] == [200] * 5
    assert [client.get(wrong).status_code for _ in range(4)] == [404, 404, 404, 429]
    assert client.get(right).status_code == 429


def test_color_of_the_institution_is_on_the_paper(ada: Client, run: CourseRun) -> None:
    first = ada.get(f"/en/my/courses/{run.pk}/certificate.pdf").content
    Institution.objects.update(color="#ffee00")
    assert ada.get(f"/en/my/courses/{run.pk}/certificate.pdf").content != first
