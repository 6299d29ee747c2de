"""Guards of the start of a course at a provider: who is let in, whose word counts, and what is told back."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

AUTHORIZING, LAUNCH = "enrollment/launch/authorizing.py", "enrollment/models/launch.py"
STARTS, STARTING = "enrollment/launch/starts.py", "enrollment/starting.py"
KEYS, TOOL_KEYS, TOKENS = "enrollment/launch/keys.py", "enrollment/launch/tool_keys.py", "enrollment/launch/tokens.py"
SCORING, SCORES = "enrollment/launch/scoring.py", "enrollment/views/scores.py"
FINISHING, PICKING = "enrollment/finishing.py", "enrollment/launch/picking.py"
SIGNING_ON, OPENID = "enrollment/signing_on.py", "enrollment/views/openid.py"

ASKED = "tests/enrollment/launch/test_authorizing.py"
WHO = f"{ASKED}::test_somebody_else_is_signed_in"
WRONG = f"{ASKED}::test_tool_is_told_what_is_wrong"
ENDED = f"{ASKED}::test_what_ended_on_the_way_is_not_started"
PERMITS, OWN_KEYS = "tests/enrollment/test_starting.py", "tests/enrollment/launch/test_keys.py"
TOLD = "tests/enrollment/launch/test_launching.py"
PROOF = "tests/enrollment/launch/test_tokens.py"
REFUSED = f"{PROOF}::test_what_is_not_the_tools_own_word_is_refused"
NOTED, SENSELESS = "tests/enrollment/launch/test_scores.py", "tests/enrollment/launch/test_scores_refused.py"
WHOSE = f"{NOTED}::test_score_of_whom_the_tool_does_not_know_in_this_course"
PICKED, SIGNED_ON = "tests/enrollment/launch/test_picking.py", "tests/enrollment/views/test_openid.py"

MUTANTS = (
    # --- Who is let into a course ---
    Mutant(
        "answer-to-an-address-that-begins-alike",
        24,
        AUTHORIZING,
        'asked["redirect_uri"] not in tool.redirect_uris',
        'not asked["redirect_uri"].startswith(tuple(tool.redirect_uris))',
        (f"{ASKED}::test_nobody_is_sent_to_an_address_that_is_not_registered",),
    ),
    Mutant("tool-that-is-off-asks", 24, AUTHORIZING, ", is_on=True)", ")", (ASKED,)),
    Mutant("parameters-may-be-repeated", 24, AUTHORIZING, "    if repeated:", "    if False:", (ASKED,)),
    Mutant("any-response-mode", 24, AUTHORIZING, '("response_mode", "form_post"), ', '("prompt", "none"), ', (WRONG,)),
    Mutant("any-prompt", 24, AUTHORIZING, ', ("prompt", "none"))', ",)", (WRONG,)),
    Mutant(
        "empty-nonce",
        24,
        AUTHORIZING,
        "return 0 < len(value)",
        "return 0 <= len(value)",
        (f"{WRONG}[{{'nonce': ''}}-invalid_request]",),
    ),
    Mutant("start-at-another-tool", 24, AUTHORIZING, "(now).filter(tool=tool)", "(now)", (ASKED,)),
    Mutant("somebody-else-goes-on", 24, AUTHORIZING, "launch.user_id != user_id or ", "", (WHO,)),
    Mutant("hint-of-another-member", 24, AUTHORIZING, ' or asked["login_hint"] != str(launch.subject)', "", (WRONG,)),
    Mutant("start-is-answered-twice", 24, LAUNCH, "answered_at=None, expires_at", "expires_at", (ASKED,)),
    Mutant("start-lasts-for-ever", 24, LAUNCH, ", expires_at__gt=now)", ")", (ASKED,)),
    Mutant(
        "two-at-once-are-answered",
        24,
        AUTHORIZING,
        "if not Launch.objects.unanswered(now).filter(pk=launch.pk)",
        "if not Launch.objects.filter(pk=launch.pk)",
        ("tests/enrollment/launch/test_at_once.py",),
    ),
    Mutant("subject-of-before", 24, STARTS, "permit.account.external_id != launch.subject", "False", (ASKED,)),
    Mutant("seat-that-is-held-starts", 24, STARTING, "== State.SEATED:", "in (State.SEATED, State.HELD):", (PERMITS,)),
    Mutant(
        "seat-whose-time-is-over-starts",
        24,
        STARTING,
        "return Obstacle.SEAT_ENDED if over",
        "return None if over",
        (ENDED,),
    ),
    Mutant("account-that-is-not-ready-starts", 24, STARTING, " or not account.is_ready", "", (ENDED,)),
    Mutant(
        "course-off-offer-starts",
        24,
        STARTING,
        "return last if last > day else gone",
        "return last",
        (ENDED,),
    ),
    Mutant(
        "course-of-another-programme-starts",
        24,
        STARTING,
        "if each.programme_id == enrollment.pool.programme_id",
        "",
        (PERMITS,),
    ),
    Mutant(
        "saved-course-is-kept",
        24,
        STARTING,
        "run is not None and run.started_at is not None",
        "run is not None",
        (PERMITS,),
    ),
    Mutant("started-course-is-kept-for-ever", 24, STARTING, "if kept_days is None:", "if True:", (PERMITS,)),
    Mutant("started-course-is-not-kept", 24, STARTING, "last += timedelta(days=kept_days)", "pass", (PERMITS,)),
    Mutant(
        "link-from-elsewhere-starts",
        24,
        "enrollment/views/starting.py",
        " and came_from_here(request):",
        ":",
        ("tests/enrollment/views/test_starting.py",),
    ),
    Mutant(
        "name-is-told-of-everybody",
        22,
        STARTS,
        "if tells not in (Tells.NAME, Tells.NAME_AND_MAIL):",
        "if False:",
        (TOLD,),
    ),
    Mutant(
        "address-is-told-with-the-name",
        22,
        STARTS,
        "if tells == Tells.NAME_AND_MAIL else",
        "if True else",
        (TOLD,),
    ),
    # --- Our keys ---
    Mutant(
        "old-key-goes-with-its-turn",
        25,
        KEYS,
        "following.signs_from + PUBLISHED_AFTER",
        "following.signs_from",
        (OWN_KEYS,),
    ),
    Mutant("new-key-signs-unpublished", 25, KEYS, "now + PUBLISHED_BEFORE if usable else now", "now", (OWN_KEYS,)),
    Mutant("keys-that-strangers-know-stay", 25, KEYS, "[] if at_once else", "", (OWN_KEYS,)),
    # --- What a tool has signed ---
    Mutant(
        "no-signature",
        25,
        TOOL_KEYS,
        '("exp", "iat", "nbf", "aud"',
        '("signature", "exp", "iat", "nbf", "aud"',
        (REFUSED,),
    ),
    Mutant(
        "algorithm-is-not-looked-at",
        25,
        TOOL_KEYS,
        "not isinstance(algorithm, str) or algorithm not in ALGORITHMS or ",
        "",
        (REFUSED,),
    ),
    Mutant(
        "key-of-any-name",
        25,
        TOOL_KEYS,
        '        and head.get("kid", key.get("kid")) == key.get("kid")\n',
        "",
        (REFUSED,),
    ),
    Mutant("expired-token", 25, TOOL_KEYS, "Flaw.EXPIRED: expires <= at - leeway", "Flaw.EXPIRED: False", (REFUSED,)),
    Mutant("token-of-the-future", 25, TOOL_KEYS, "max(issued, begins or issued) >", "(begins or 0) >", (REFUSED,)),
    Mutant(
        "token-for-years", 25, TOOL_KEYS, "Flaw.TOO_LONG: expires - min(issued, at) >", "Flaw.TOO_LONG: 0 >", (REFUSED,)
    ),
    Mutant(
        "token-for-somebody-else", 25, TOOL_KEYS, "Flaw.AUDIENCE: audience not in", "Flaw.AUDIENCE: 7 in", (REFUSED,)
    ),
    Mutant("subject-of-anybody", 25, TOKENS, 'claims.get("sub") != tool.client_id', "False", (REFUSED,)),
    Mutant("token-counts-twice", 25, TOOL_KEYS, "        raise NotBelieved(Flaw.USED)\n", "        pass\n", (PROOF,)),
    Mutant("token-of-a-tool-that-is-off", 25, TOKENS, ", tool__is_on=True)", ")", (PROOF,)),
    Mutant("token-lasts-for-ever", 25, TOKENS, "found.filter(expires_at__gt=now)", "found", (NOTED,)),
    Mutant("more-scopes-than-were-asked-for", 25, TOKENS, "if scope in wanted)", ")", (NOTED,)),
    # --- Scores ---
    Mutant("token-of-any-scope", 26, SCORES, "if scope not in found.scopes:", "if False:", (NOTED,)),
    Mutant(
        "course-of-another-provider",
        26,
        SCORES,
        "pk=course_id, provider_id=shown.tool.provider_id",
        "pk=course_id",
        (NOTED,),
    ),
    Mutant("score-of-any-type", 26, SCORES, "if request.content_type != SCORE_TYPE:", "if False:", (SENSELESS,)),
    Mutant(
        "score-of-whoever-took-it-first",
        26,
        SCORING,
        "started().filter(user_id=user_id, course=course)",
        "started().filter(course=course)",
        (WHOSE,),
    ),
    Mutant(
        "score-of-what-was-only-saved",
        26,
        SCORING,
        "CourseRun.objects.started().filter(",
        "CourseRun.objects.filter(",
        (WHOSE,),
    ),
    Mutant("score-of-who-is-being-erased", 23, SCORING, ", must_be_erased=False", "", (WHOSE,)),
    Mutant(
        "score-of-the-closed-account",
        26,
        SCORING,
        "user_id = whose_now(account.user_id)",
        "user_id = account.user_id",
        ("tests/enrollment/launch/test_scores_of_merged.py",),
    ),
    Mutant("older-score-counts", 26, SCORING, "Q(told_at__lt=told.at)", "Q(pk__gt=0)", (NOTED,)),
    Mutant("score-of-next-year", 26, SCORING, "if moment <= now + AHEAD:", "if True:", (SENSELESS,)),
    Mutant("score-without-end", 26, SCORING, "not math.isfinite(number) or ", "", (SENSELESS,)),
    Mutant("score-below-nothing", 26, SCORING, " or number < 0", "", (SENSELESS,)),
    Mutant(
        "finished-twice",
        26,
        FINISHING,
        "(pk=run.pk, completed_at=None)",
        "(pk=run.pk)",
        (NOTED, "tests/enrollment/test_finishing.py"),
    ),
    Mutant(
        "finished-in-a-time-to-come",
        26,
        FINISHING,
        "max(run.started_at, min(at, now))",
        "max(run.started_at, at)",
        (f"{SENSELESS}::test_score_of_a_time_to_come",),
    ),
    Mutant(
        "letter-that-nobody-wished-for", 26, FINISHING, "if enrollment.user.wants_course_letters:", "if True:", (NOTED,)
    ),
    # --- Courses are picked ---
    Mutant(
        "choice-is-answered-twice", 25, PICKING, "        raise NotBelieved(Flaw.USED)\n", "        pass\n", (PICKED,)
    ),
    Mutant("choice-without-a-number", 25, PICKING, "    _spend(tool, claims, now)\n", "", (PICKED,)),
    Mutant(
        "choice-of-another-tool", 25, PICKING, "objects.filter(tool=tool, message", "objects.filter(message", (PICKED,)
    ),
    Mutant(
        "choice-of-a-course-start",
        25,
        PICKING,
        "message=Launch.Message.PICKING, answered_at__gt",
        "answered_at__gt",
        (f"{PICKED}::test_launch_that_was_not_answered_or_long_ago_or_of_a_course",),
    ),
    Mutant(
        "choice-by-a-tool-that-is-off", 25, PICKING, "client_id=client_id, is_on=True", "client_id=client_id", (PICKED,)
    ),
    Mutant("choice-is-another-message", 25, PICKING, "if any(claims.get(", "if False and any(claims.get(", (PICKED,)),
    Mutant(
        "whoever-went-may-pick", 25, PICKING, "missing := obstacle(tool, launch.user)", "missing := None", (PICKED,)
    ),
    Mutant(
        "anybody-sees-a-choice",
        25,
        "enrollment/admin/picking.py",
        "tool=tool, user=person(request))",
        "tool=tool)",
        ("tests/enrollment/admin/test_picked.py",),
    ),
    Mutant(
        "choice-is-worked-on-twice",
        25,
        "enrollment/registering.py",
        "if picking.applied_at is not None:",
        "if False:",
        ("tests/enrollment/admin/test_picked.py",),
    ),
    Mutant(
        "anybody-makes-courses",
        25,
        "enrollment/registering.py",
        "if not scoping.may(",
        "if False and scoping.may(",
        ("tests/enrollment/admin/test_picked.py",),
    ),
    Mutant(
        "picked-address-of-any-kind",
        25,
        "enrollment/launch/picked_items.py",
        "(url and tool_checks.flaw_of_address(url))",
        "False",
        (PICKED,),
    ),
    Mutant(
        "pasted-private-keys-are-kept",
        25,
        "enrollment/tool_checks.py",
        "    if tool_keys.has_private_part(given):",
        "    if False:",
        ("tests/enrollment/admin/test_tools.py",),
    ),
    # --- Single sign-on ---
    Mutant(
        "signed-on-without-an-account",
        24,
        SIGNING_ON,
        "if account is None or not account.is_ready:",
        "if account is None:",
        (SIGNED_ON,),
    ),
    Mutant(
        "signed-on-after-the-end", 24, SIGNING_ON, "        Q(ends_at=None) | Q(ends_at__gt=now),\n", "", (SIGNED_ON,)
    ),
    Mutant("signed-on-without-a-seat", 24, SIGNING_ON, "        state=Enrollment.State.SEATED,\n", "", (SIGNED_ON,)),
    Mutant("signed-on-by-a-closed-account", 24, SIGNING_ON, "        user__is_active=True,\n", "", (SIGNED_ON,)),
    Mutant(
        "signed-on-at-another-provider",
        24,
        SIGNING_ON,
        "filter(user_id=user_id, provider_id=provider_id)",
        "filter(user_id=user_id)",
        (SIGNED_ON,),
    ),
    Mutant(
        "sign-on-goes-anywhere",
        24,
        OPENID,
        'asked.get("redirect_uri") in row.redirect_uris',
        'asked.get("redirect_uri", "").startswith(tuple(row.redirect_uris))',
        (SIGNED_ON,),
    ),
    Mutant("sign-on-without-a-challenge", 24, OPENID, " or row.needs_pkce", "", (SIGNED_ON,)),
    Mutant("sign-on-goes-on-after-the-end", 24, OPENID, "if found and found.user_id and", "if False and", (SIGNED_ON,)),
    Mutant("client-that-is-off-signs-on", 24, "enrollment/openid_provider.py", ", is_on=True)", ")", (SIGNED_ON,)),
    Mutant("code-counts-twice", 24, OPENID, "shown, limit=1,", "shown, limit=99,", (SIGNED_ON,)),
    Mutant("sign-on-tells-the-name", 22, SIGNING_ON, " and place.tells != Tells.PSEUDONYM", "", (SIGNED_ON,)),
    Mutant("sign-on-tells-the-address", 22, SIGNING_ON, " and place.tells == Tells.NAME_AND_MAIL", "", (SIGNED_ON,)),
    Mutant(
        "tokens-outlive-the-secret",
        24,
        SIGNING_ON,
        '    known.save(update_fields=["secret"])\n    Token.objects.filter(client=known).delete()\n',
        '    known.save(update_fields=["secret"])\n',
        ("tests/enrollment/admin/test_sign_on.py",),
    ),
)
