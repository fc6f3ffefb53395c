import pytest

from senn_ray.analysis.status import status
from senn_ray.core.errors import DataError
from senn_ray.core.events import Event, JobEnded, JobResumed, RunFinished, RunSubmitted
from senn_ray.search.attempts import elapsed_s
from tests.search.fakes import finite_loss
from tests.search.test_resume import LastingStudies, killed, whole

WHOLE = whole()
RESUMED = JobResumed(versions={}, where="elsewhere", resubmitted=())


def timed(events: list[Event]) -> list[tuple[float, Event]]:
    return [(100.0 + i, event) for i, event in enumerate(events)]


def test_any_beginning_of_a_journal_has_a_status_that_adds_up() -> None:
    for length in range(1, len(WHOLE)):
        events = WHOLE[:length]
        found = status(timed(events), now=None)
        assert found.state == "stopped"
        assert found.exit_code == 130
        records = [e.record for e in events if isinstance(e, RunFinished)]
        arms = found.arms.values()
        submitted = sum(isinstance(e, RunSubmitted) for e in events)
        assert sum(arm.done for arm in arms) == len(records)
        assert sum(arm.in_flight for arm in arms) == submitted - len(records)
        assert found.elapsed_s == length - 1
        losses = [finite_loss(record) for record in records]
        assert (found.best and found.best.val_loss) == min(losses, default=None)


def test_the_states_of_a_job() -> None:
    assert status(timed(WHOLE), now=1e9).state == "complete"
    assert status(timed(WHOLE), now=None).exit_code == 0
    assert status(timed(WHOLE[:9]), now=200.0).state == "running"
    ended = [*WHOLE[:9], JobEnded(state="interrupted", exit_code=130)]
    assert status(timed(ended), now=None).state == "interrupted"
    again = status(timed([*ended, RESUMED]), now=200.0)
    assert (again.state, again.where) == ("running", "elsewhere")


def test_the_target_is_shown_once_it_is_locked() -> None:
    assert status(timed(WHOLE[:3]), now=None).target is None
    target = status(timed(WHOLE), now=None).target
    assert target is not None
    assert (target.val_loss or 0) > 0
    assert (target.max_params or 0) > 0


def test_runs_that_start_again_are_retries_not_runs() -> None:
    studies = LastingStudies()
    events = killed([], 9, studies, before=False)
    before = status(timed(events), now=None)
    lost = sum(arm.in_flight for arm in before.arms.values())
    assert lost > 0
    after = killed(events, 10**6, studies, before=False)
    found = status(timed(after), now=None)
    assert (found.resumed, found.retries) == (1, lost)
    undisturbed = status(timed(WHOLE), now=None)
    assert found.arms == undisturbed.arms


def test_pauses_between_drivers_are_not_work() -> None:
    start, end = WHOLE[0], JobEnded(state="interrupted", exit_code=130)
    events = [(10.0, start), (15.0, end), (100.0, RESUMED)]
    assert elapsed_s(events, now=103.0) == 8.0
    assert elapsed_s(events, now=None) == 5.0
    assert elapsed_s(events[:2], now=103.0) == 5.0
    assert elapsed_s(events[:1], now=12.0) == 2.0


def test_an_empty_journal_is_said_to_be_one() -> None:
    with pytest.raises(DataError, match="journal is empty"):
        status([], now=None)


def test_a_job_that_goes_on_to_its_end_is_complete() -> None:
    journal = killed([], 5, studies := LastingStudies(), before=True)
    events = killed(journal, 10**6, studies, before=True)
    assert status(timed(events), now=None).state == "complete"
