"""The coordinator: one small loop around the state machine of ``machine.py``.

It writes an event to the journal before it acts on it, hands runs to the executor, asks
and tells the studies, and shows every event to an observer.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from senn_ray.core.errors import SennRayError
from senn_ray.core.events import Event, JobEnded, JobResumed, JobStarted, RunSubmitted
from senn_ray.core.records import RunRecord
from senn_ray.search.executor import Executor
from senn_ray.search.machine import Ask, Note, Proposed, Start, State, Tell, step
from senn_ray.search.plan import Choice, Key

Observer = Callable[[Event], None]


class Log(Protocol):
    """What keeps events; ``journal.Journal`` does, on the disk."""

    def append(self, event: Event) -> None:
        """Keep an event; it is safe when this returns."""
        ...


class Studies(Protocol):
    """What proposes runs from earlier outcomes."""

    def ask(self, key: Key) -> Choice:
        """Propose a run; the same one, if it is asked again."""
        ...

    def tell(self, key: Key, record: RunRecord) -> None:
        """Report the outcome of a run; one that is known already is ignored."""
        ...


def run_job(
    state: State,
    started: JobStarted | JobResumed,
    *,
    executor: Executor,
    journal: Log,
    studies: Studies,
    observe: Observer,
) -> JobEnded:
    """Run a job to its end; an interrupt ends it early, with what is finished kept.

    Args:
        state: The plan and the number of runs to keep in flight; of a job that is
            resumed, what ``resume.restore`` gave.
        started: The first event.
        executor: Carries out runs.
        journal: Gets every event, before it is acted on.
        studies: Proposes runs.
        observe: Is shown every event, signs of life too.

    Returns:
        How the job ended. Errors of the machinery are noted and raised again.
    """

    def note(event: Event) -> None:
        journal.append(event)
        observe(event)

    try:
        for event in _events(state, started, executor, studies):
            note(event)
            if isinstance(event, JobEnded):
                return event
    except KeyboardInterrupt:
        note(ended := JobEnded(state="interrupted", exit_code=130))
        return ended
    except Exception as error:
        code = error.exit_code if isinstance(error, SennRayError) else 1
        note(JobEnded(state="failed", exit_code=code))
        raise
    raise RuntimeError("a job came to rest without an end")


def _events(
    state: State,
    started: JobStarted | JobResumed,
    executor: Executor,
    studies: Studies,
) -> Iterator[Event]:
    """Yield each event of a job; it is acted on when the next one is asked for."""
    inbox: deque[Event | Proposed] = deque([started])
    while inbox:
        event = inbox.popleft()
        if not isinstance(event, Proposed):
            yield event
        state, commands = step(state, event)
        for command in commands:
            match command:
                case Note(event=note):
                    yield note
                case Start(spec=spec):
                    yield RunSubmitted(spec=spec)
                    executor.submit(spec)
                case Ask(key=key):
                    inbox.append(Proposed(key=key, choice=studies.ask(key)))
                case Tell(key=key, record=record):
                    studies.tell(key, record)
        if not inbox:
            inbox.extend(executor.wait())
