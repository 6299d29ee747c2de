import pytest
from django.urls import reverse

from tests.factories import make_institution, make_librarian, make_library, make_member, make_programme
from tests.workplace import sign_in

pytestmark = pytest.mark.django_db


def test_pages_open():
    institution = make_institution()
    library = make_library(institution=institution)
    programme = make_programme(cap=1)
    ada = make_member(programme=programme, library=library, number="21000001")
    make_member("bo@example.test", programme=programme, library=library, number="21000001", first_name="Bo")
    lin = sign_in(make_librarian(institution))
    for url in [
        reverse("admin:index"),
        reverse("admin:enrollment_enrollment_changelist"),
        reverse("admin:enrollment_enrollment_change", args=[ada.pk]),
        reverse("admin:enrollment_enrollment_disputes"),
        reverse("admin:enrollment_seatpool_changelist"),
        reverse("admin:enrollment_seatpool_change", args=[programme.pool.pk]),
        reverse("admin:libraries_roster_upload"),
    ]:
        assert lin.get(url).status_code == 200, url
