"""Guards of the courses: what is on offer, what visitors are shown of it, and what members have of it."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

RULES, WALL = "catalog/offer_rules.py", "catalog/migrations/0008_rules_of_the_rotation.py"
PLANNING, LEAVING = "enrollment/rotating.py", "enrollment/leaving.py"
SEARCHING, INDEX = "catalog/searching.py", "catalog/migrations/0009_search.py"
CACHE, FILES, IMPORTING = "portal/page_cache.py", "catalog/course_files.py", "enrollment/course_importing.py"
FOLLOWING, ERASING = "enrollment/following.py", "enrollment/erasing.py"
CERTIFICATES, BOMBS = "enrollment/reports/courses_of_member.py", "catalog/workbook_bombs.py"

ROTATION, PLANS = "tests/catalog/test_rotation.py", "tests/enrollment/test_rotating.py"
TOLD = "tests/enrollment/test_leaving.py"
FOUND, PAGES = "tests/catalog/test_searching.py", "tests/portal/test_page_cache.py"
LISTS, TAKEN_IN = "tests/catalog/test_course_files.py", "tests/enrollment/admin/test_course_lists.py"
MINE, MERGED = "tests/enrollment/test_following.py", "tests/enrollment/test_merging_courses.py"
PAPERS = "tests/enrollment/views/test_certificates.py"
AT_ONCE = "tests/concurrency/test_rotation.py"

MUTANTS = (
    # --- What is on offer ---
    Mutant("core-titles-without-end", 27, RULES, "counts[worst] > offer.most", "False", (ROTATION,)),
    Mutant(
        "database-counts-no-core-titles",
        27,
        WALL,
        "NEW.offered_until) > most THEN",
        "NEW.offered_until) > 32000 THEN",
        (ROTATION,),
    ),
    Mutant(
        "fewer-core-titles-than-planned",
        27,
        WALL,
        "WHEN (NEW.core_titles < OLD.core_titles)",
        "WHEN (false)",
        (ROTATION,),
    ),
    Mutant("course-twice-at-once", 27, RULES, "other is not slot and slot.overlaps(other)", "False", (ROTATION,)),
    Mutant("two-modules-in-a-month", 27, RULES, "if same and any(", "if False and any(", (ROTATION,)),
    Mutant(
        "database-counts-no-modules",
        27,
        WALL,
        'models.F("programme"),',
        'models.F("programme"), models.F("course"),',
        (ROTATION,),
    ),
    Mutant(
        "title-on-offer-is-taken-away",
        27,
        RULES,
        "for slot in offer.removed if slot.since <= offer.today",
        "for slot in ()",
        (ROTATION,),
    ),
    Mutant("title-leaves-untold", 27, RULES, "first = offer.today + TOLD_BEFORE", "first = offer.today", (ROTATION,)),
    Mutant("saved-title-goes-unseen", 27, PLANNING, "unseen = expected is None and", "unseen = False and", (PLANS,)),
    Mutant(
        "plan-of-another-preview",
        27,
        PLANNING,
        " or expected not in (None, shown.fingerprint)",
        "",
        (PLANS, "tests/enrollment/admin/test_rotation.py"),
    ),
    Mutant("anybody-plans", 27, PLANNING, "if not scoping.may(by, *EDITORS):", "if False:", (PLANS,)),
    Mutant("planned-without-a-lock", 27, "catalog/rotation.py", ".select_for_update(no_key=True)", "", (AT_ONCE,)),
    # --- What leaves ---
    Mutant(
        "finished-members-are-told",
        27,
        LEAVING,
        " AND run.completed_at IS NULL AND run.course_id",
        " AND run.course_id",
        (TOLD,),
    ),
    Mutant("told-without-a-seat", 27, LEAVING, " AND seat.state = 'seated'", "", (TOLD,)),
    Mutant("told-of-what-stays", 27, LEAVING, " AND NOT offered @> gone_on", "", (TOLD,)),
    Mutant("letter-that-was-given-up-comes-back", 27, LEAVING, " OR letter.trouble <> ''", "", (TOLD,)),
    Mutant(
        "told-once-whatever-the-day",
        27,
        LEAVING,
        "\n        AND letter.reason = to_char(gone_on, 'YYYY-MM-DD')",
        "",
        (TOLD,),
    ),
    Mutant(
        "letter-twice-by-two-sweeps",
        27,
        "enrollment/migrations/0016_course_leaves_once.py",
        'fields=("course_run", "reason")',
        'fields=("course_run", "reason", "id")',
        (AT_ONCE,),
    ),
    Mutant(
        "provider-keeps-courses-for-ever",
        27,
        "enrollment/agreeing.py",
        "(programme.kept_days IS NULL OR gone.offered_until + programme.kept_days > %(today)s)",
        "true",
        ("tests/enrollment/test_provisioning_changes.py",),
    ),
    # --- What visitors are shown ---
    Mutant(
        "kept-page-of-a-member",
        28,
        CACHE,
        'frozenset({settings.SESSION_COOKIE_NAME, "messages"})',
        "frozenset()",
        (PAGES,),
    ),
    Mutant("kept-page-that-sets-a-cookie", 28, CACHE, "        and not response.cookies\n", "", (PAGES,)),
    Mutant(
        "kept-page-with-a-form", 28, CACHE, '        and b"csrfmiddlewaretoken" not in response.content\n', "", (PAGES,)
    ),
    Mutant("kept-page-of-an-older-catalog", 28, CACHE, "key = (version, ", 'key = ("", ', (PAGES,)),
    Mutant("kept-page-of-another-day", 28, CACHE, " {timezone.localdate()}", "", (PAGES,)),
    Mutant(
        "kept-page-in-another-language",
        28,
        CACHE,
        "request.path_info, query)",
        'request.path_info.removeprefix("/fr"), query)',
        (PAGES,),
    ),
    Mutant("kept-page-for-who-chose-a-language", 28, CACHE, 'plain=not address["language"]', "plain=False", (PAGES,)),
    Mutant("kept-page-repeats-the-address", 28, CACHE, 'request.META["QUERY_STRING"] = key[-1]', "pass", (PAGES,)),
    Mutant("kept-page-without-a-database", 28, CACHE, "query is None or not version", "query is None", (PAGES,)),
    Mutant("kept-pages-without-end", 28, CACHE, "while self._held > self._most:", "while False:", (PAGES,)),
    Mutant(
        "kept-page-is-kept-by-browsers",
        28,
        CACHE,
        '"Cache-Control", "no-cache"',
        '"Cache-Control", "max-age=60"',
        (PAGES,),
    ),
    Mutant("change-that-no-page-shows", 28, INDEX, '    "catalog_provider": {"update": ""},', "", (PAGES,)),
    # --- What is found ---
    Mutant("signs-reach-the-database", 28, INDEX, "'[^[:alnum:]]+'", "'[[:space:]]+'", (FOUND,)),
    Mutant("words-without-end", 28, SEARCHING, "ORDER BY place LIMIT %(most)s\n", "ORDER BY place\n", (FOUND,)),
    Mutant("hits-without-end", 28, SEARCHING, "FROM on_offer LIMIT %(most)s)", "FROM on_offer)", (FOUND,)),
    Mutant("title-is-cut-off", 28, SEARCHING, "title = %(title)s LIMIT 100", "false LIMIT 100", (FOUND,)),
    Mutant(
        "found-off-offer",
        28,
        SEARCHING,
        " AND (listing.offered_until IS NULL OR listing.offered_until > %(day)s)",
        "",
        (FOUND,),
    ),
    Mutant(
        "popular-by-one-person",
        22,
        "enrollment/reports/finding.py",
        "FEWEST_STARTS, MOST_POPULAR = 5,",
        "FEWEST_STARTS, MOST_POPULAR = 1,",
        ("tests/enrollment/views/test_finding_courses.py",),
    ),
    # --- Lists of courses ---
    Mutant(
        "list-with-formulas",
        19,
        FILES,
        "cell is None or (not is_description and cell.lstrip().startswith(_FORMULA))",
        "cell is None",
        (LISTS,),
    ),
    Mutant(
        "list-with-formulas-of-a-workbook",
        19,
        FILES,
        'None if cell.data_type == "f" else _text(cell.value)',
        "_text(cell.value)",
        (LISTS,),
    ),
    Mutant(
        "rows-without-end",
        19,
        FILES,
        "    for number, row in enumerate(table, start=1):\n        if number > MAX_ROWS:",
        "    for number, row in enumerate(table, start=1):\n        if False:",
        (LISTS,),
    ),
    Mutant(
        "workbook-that-is-huge-inside",
        19,
        BOMBS,
        " or sum(part.file_size for part in parts) > MAX_UNPACKED",
        "",
        (LISTS,),
    ),
    Mutant("workbook-with-entities", 19, BOMBS, "    parser.StartDoctypeDeclHandler = _refuse", "    pass", (LISTS,)),
    Mutant("row-without-end", 19, BOMBS, "if self._held > MAX_HELD or", "if", (LISTS,)),
    Mutant("list-with-unsafe-addresses", 19, FILES, 'schemes=["https"]', 'schemes=["https", "http"]', (LISTS,)),
    Mutant(
        "another-list-than-was-shown", 19, IMPORTING, "if comparison.fingerprint != expected:", "if False:", (TAKEN_IN,)
    ),
    Mutant(
        "preview-takes-it-in",
        19,
        "enrollment/admin/course_lists.py",
        'return course_importing.preview(told["provider"], contents, form.defaults(), by=by), False',
        'told["expected"] = course_importing.preview(told["provider"], contents, form.defaults(), by=by).fingerprint',
        (TAKEN_IN,),
    ),
    Mutant(
        "anybody-takes-in-a-list", 19, IMPORTING, "if not scoping.may(by, *rotating.EDITORS):", "if False:", (TAKEN_IN,)
    ),
    Mutant(
        "list-of-another-provider",
        19,
        "catalog/course_lists.py",
        "Course.objects.filter(provider=provider)",
        "Course.objects",
        ("tests/catalog/test_course_lists.py",),
    ),
    # --- Certificates ---
    Mutant("certificate-of-another-code", 26, CERTIFICATES, "_finished().with_code(code)", "_finished()", (PAPERS,)),
    Mutant("certificate-of-somebody-else", 22, CERTIFICATES, "filter(user=user, pk=pk)", "filter(pk=pk)", (PAPERS,)),
    Mutant(
        "certificate-of-who-is-gone",
        23,
        CERTIFICATES,
        ".filter(user__is_active=True)",
        "",
        ("tests/enrollment/test_finishing.py",),
    ),
    Mutant(
        "certificate-tells-the-name", 22, CERTIFICATES, "_initials(run.user.full_name)", "run.user.full_name", (PAPERS,)
    ),
    Mutant(
        "certificates-may-be-guessed",
        17,
        "enrollment/views/certificates.py",
        "if not limits.allow(",
        "if False and limits.allow(",
        (PAPERS,),
    ),
    Mutant(
        "codes-of-the-other-account-are-lost",
        26,
        "enrollment/models/course_run.py",
        " | Q(other_codes__contains=[code])",
        "",
        (MERGED,),
    ),
    # --- My courses ---
    Mutant(
        "merge-leaves-courses-behind",
        26,
        "enrollment/merging.py",
        "    following.hand_over(of=plan.other, to=plan.keep)\n",
        "",
        (MERGED,),
    ),
    Mutant(
        "merge-takes-a-certificate-away",
        26,
        FOLLOWING,
        "        stays.other_codes = [code for code in codes if code] or None\n",
        "",
        (MERGED,),
    ),
    Mutant(
        "merge-takes-the-older-progress",
        26,
        FOLLOWING,
        "if goes.told_at and (stays.told_at is None or goes.told_at > stays.told_at):",
        "if goes.told_at:",
        (MERGED,),
    ),
    Mutant(
        "merge-tells-twice", 26, FOLLOWING, "if each.dropped_at or (each.kind, each.reason) not in told", "", (MERGED,)
    ),
    Mutant(
        "erased-but-for-the-courses",
        23,
        ERASING,
        "    CourseRun.objects.filter(user__in=plan.people).delete()\n",
        "",
        ("tests/enrollment/test_finishing.py",),
    ),
    Mutant(
        "erased-but-for-the-starts",
        23,
        ERASING,
        "    Launch.objects.filter(user__in=plan.people).delete()\n",
        "",
        ("tests/enrollment/views/test_starting.py",),
    ),
    Mutant(
        "erased-but-for-the-choices",
        23,
        ERASING,
        "    Picking.objects.filter(user__in=plan.people).delete()\n",
        "",
        ("tests/enrollment/views/test_starting.py",),
    ),
    Mutant(
        "erased-but-for-the-sign-ons",
        23,
        ERASING,
        "    Token.objects.filter(user__in=plan.people).delete()\n",
        "",
        ("tests/portal/test_erased_is_nowhere.py",),
    ),
    Mutant(
        "reminder-before-its-day",
        26,
        FOLLOWING,
        "WHERE remind_on <= %(today)s\n",
        "WHERE remind_on IS NOT NULL\n",
        (MINE,),
    ),
    Mutant(
        "reminder-of-what-is-finished",
        26,
        FOLLOWING,
        "WHERE run.completed_at IS NULL AND NOT EXISTS",
        "WHERE NOT EXISTS",
        (MINE,),
    ),
    Mutant("reminder-to-an-unproved-address", 26, FOLLOWING, " AND person.address_proved_at IS NOT NULL", "", (MINE,)),
    Mutant(
        "reminder-although-switched-off",
        26,
        FOLLOWING,
        "        letters.update(due_at=None, stuck_at=None, dropped_at=now)\n",
        "",
        (MINE,),
    ),
    Mutant(
        "reminder-by-somebody-else",
        26,
        "enrollment/views/my_courses.py",
        "user=member_of(request), course__slug=slug",
        "course__slug=slug",
        ("tests/enrollment/views/test_my_courses.py",),
    ),
)
