from __future__ import annotations

from django.utils.translation import override

from enrollment.reports import system_steps
from libraries.cards.checks import Answer, Outcome, Step, StepName, Trouble, Walk


def test_every_step_trouble_and_outcome_has_its_words() -> None:
    assert set(system_steps.STEPS) == set(StepName)
    assert set(system_steps.TROUBLES) == set(Trouble)
    assert set(system_steps.OUTCOMES) == set(Outcome)


def test_no_two_things_read_alike() -> None:
    words = [*system_steps.STEPS.values(), *system_steps.OUTCOMES.values()]
    words += [what for what, _mender in system_steps.TROUBLES.values()]
    assert len(set(map(str, words))) == len(words)


def test_reason_of_an_event_is_an_outcome_or_a_trouble_and_never_both() -> None:
    assert {each.value for each in Outcome} & {each.value for each in Trouble} == set()
    assert max(len(each.value) for each in (*Outcome, *Trouble)) <= 20


def test_trouble_that_no_step_tells_is_told_of_the_card() -> None:
    told = system_steps.lines(Walk((Step(StepName.LOGIN),), Answer(Outcome.NO_ANSWER, trouble=Trouble.BUSY)))
    assert [(line.name, line.is_good) for line in told] == [
        (system_steps.STEPS[StepName.LOGIN], True),
        (system_steps.STEPS[StepName.CARD], False),
    ]


def test_trouble_is_told_once() -> None:
    failed = Step(StepName.CARD, Trouble.GARBLED)
    told = system_steps.lines(Walk((failed,), Answer(Outcome.NO_ANSWER, trouble=Trouble.GARBLED)))
    assert [line.is_good for line in told] == [False]


def test_reason_of_an_event_is_told_in_words() -> None:
    with override("en"):
        assert system_steps.in_words("good") == "Everything works."
        assert system_steps.in_words("tls_expired") == "The certificate of the server has expired."
        assert system_steps.in_words("blocked") == "The card is blocked."
        assert system_steps.in_words("of_another_time") == "of_another_time"
