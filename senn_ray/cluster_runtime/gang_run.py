"""A run in flight: who takes part in it, and what is done when a replica is lost.

The replicas of a run sit in a *membership*, which is counted by its epoch. When one of
them is lost, the others find out by a message that fails, leave, and are ready for the
next epoch; a spare, or a new process, is ready too. As soon as nobody sits in the old
membership and enough are ready, they are seated again: survivors in their old places.
The replicas themselves find the newest state that one of them has kept, and go on.
"""

import dataclasses
import time
import uuid
from collections.abc import Callable
from typing import Any, cast

import ray
import ray.exceptions

from senn_ray.cluster_runtime.gang import Gang, Stream, one_line
from senn_ray.cluster_runtime.members import Member, Trouble, places
from senn_ray.cluster_runtime.messages import Seat
from senn_ray.cluster_runtime.worker import Message
from senn_ray.core.records import Progress, RunRecord, RunSpec
from senn_ray.search.executor import failed_record

LATE_S = 5.0
"""Seconds that replicas get to follow when others have finished, or told of a loss."""


class Flight:
    """Follow a run to its record."""

    def __init__(
        self,
        spec: RunSpec,
        gang: Gang,
        data: Any,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin the run in all processes of the gang.

        Args:
            spec: The run.
            gang: Who carries it out; nobody else uses it meanwhile.
            data: Reference to the data set in the object store.
            clock: Tells seconds.
        """
        self.spec = spec
        self.gang = gang
        self.is_sound = True
        """Whether the gang can take another run."""
        self._data, self._clock = data, clock
        self._name = f"{spec.run_id}/{uuid.uuid4().hex}"
        self._size = gang.cluster.workers_per_run
        self._epoch = 0
        self._started_s = clock()
        self._trouble: Trouble | None = None
        self._losses = 0
        self._heard_s = self._formed_s = self._started_s
        self._question: Any = None
        """What a replica without peers was asked, to see whether it is alive."""
        self._notes: list[str] = []
        self._verdict: RunRecord | None = None
        self._ending_s = 0.0
        self._members = [self._begin(slot) for slot in range(gang.slots)]

    @property
    def live(self) -> list[Stream]:
        """The streams from which more will come."""
        return [m.stream for m in self._members if m.status != "ended"]

    def receive(self, stream: Stream) -> Progress | None:
        """Take the next message of a stream that has one.

        Args:
            stream: One of ``live``.

        Returns:
            A sign of life, if it is one.
        """
        slot = [member.stream for member in self._members].index(stream)
        member = self._members[slot]
        try:
            message: Message = cast("Message", ray.get(next(stream)))
        except StopIteration:
            member.status = "ended"
        except ray.exceptions.RayTaskError as error:
            self._raised(member, error)
        except ray.exceptions.RayError as error:
            self._lose(slot, one_line(error))
        else:
            self._heard_s = self._clock()
            return self._take(slot, message)
        return None

    def tick(self) -> None:
        """Do what is due when nothing was heard for some time."""
        now, trouble = self._clock(), self._trouble
        if self._verdict is not None:
            if now >= self._ending_s + LATE_S:
                self._abandon()
        elif trouble is not None and now >= self._due(trouble):
            silent = [s for s, m in enumerate(self._members) if m.status == "seated"]
            for slot in silent:
                self._lose(slot, f"silent for {now - trouble.since_s:.0f} s")
            if not silent:
                self._do_without(trouble)
        elif trouble is None and self._size == 1 and now >= self._next_question_s():
            self._ask()

    def due_s(self) -> float | None:
        """Return in how many seconds ``tick`` has something to do, if it has."""
        if self._verdict is not None:
            return max(self._ending_s + LATE_S - self._clock(), 0.0)
        if self._trouble is not None:
            return max(self._due(self._trouble) - self._clock(), 0.0)
        if self._size == 1:
            return max(self._next_question_s() - self._clock(), 0.0)
        return None

    def outcome(self) -> RunRecord | None:
        """Tell how the run ended, or nothing if it has not, or not for all."""
        record = self._verdict
        if record is None or self._seated():
            return None
        cost = record.cost
        if self._notes:
            # Those who knew what was lost may be lost too: it is all that nobody counts.
            taken = (self._ending_s - self._formed_s) * self._size
            lost = max(taken - cost.device_s, cost.wasted_device_s)
            cost = dataclasses.replace(cost, wasted_device_s=lost)
        notes = (*self._notes, *record.interruptions)
        return dataclasses.replace(record, cost=cost, interruptions=notes)

    def _next_question_s(self) -> float:
        return self._heard_s + self.gang.cluster.silence_s

    def _ask(self) -> None:
        """See whether a replica without peers, who would notice, answers."""
        for slot, member in enumerate(self._members):
            if member.status != "seated":
                continue
            if self._question is None or self.gang.has_answered(self._question):
                self._question = self.gang.ask(slot)
                self._heard_s = self._clock()
            else:
                self._question = None
                silence_s = self._clock() - self._heard_s
                self._lose(slot, f"silent for {silence_s:.0f} s")

    def _begin(self, slot: int) -> Member:
        stream = self.gang.begin(slot, self.spec, self._data, self._name)
        alone = self.gang.is_alone
        return Member(
            stream=stream,
            status="seated" if alone else "starting",
            rank=0 if alone else None,
        )

    def _seated(self) -> list[Member]:
        return [member for member in self._members if member.status == "seated"]

    def _take(self, slot: int, message: Message) -> Progress | None:
        member = self._members[slot]
        if isinstance(message, Progress):
            return message if self._verdict is None else None
        if isinstance(message, RunRecord):
            member.status = "ended"
            if self._verdict is None:
                self._end(message)
        elif message.epoch == self._epoch or member.status == "starting":
            member.status = "ready"
            if message.lost and member.rank is not None:
                self._trouble = self._trouble or self._new_trouble()
                if not self._trouble.has_death:
                    self._trouble.reasons.append(message.lost)
            self._form()
        return None

    def _raised(self, member: Member, error: ray.exceptions.RayTaskError) -> None:
        """End a run that raised: it would do so again."""
        member.status = "ended"
        if self._verdict is None:
            self._end(self._failed(self._named(member, one_line(_cause(error)))))

    def _lose(self, slot: int, reason: str) -> None:
        """Note a process that is gone or silent, and start another one."""
        member = self._members[slot]
        was_needed = member.status == "seated" or self._trouble is not None
        member.status = "ended"
        if self._verdict is not None:
            self.is_sound = False
            return
        self._losses += 1
        limit = self.gang.cluster.max_recoveries
        if was_needed:
            self._disturbed(self._named(member, reason))
        if self._losses <= limit:
            self.gang.replace(slot)
            self._members[slot] = self._begin(slot)
            self._form()
        elif was_needed:
            self._give_up(self._named(member, reason))

    def _disturbed(self, reason: str) -> None:
        self._trouble = trouble = self._trouble or self._new_trouble()
        # What survivors told was an echo of this.
        trouble.reasons = [*(trouble.reasons if trouble.has_death else []), reason]
        trouble.has_death, trouble.since_s = True, self._clock()
        for slot, member in enumerate(self._members):
            if member.status == "seated":
                self.gang.alarm(slot, self._name, self._epoch)

    def _new_trouble(self) -> Trouble:
        now = self._clock()
        return Trouble(began_s=now, since_s=now)

    def _due(self, trouble: Trouble) -> float:
        """Return when those who have not followed count as lost."""
        cluster = self.gang.cluster
        if not self._seated():
            return trouble.since_s + cluster.replace_s
        # Survivors notice a death at once, and silence when their patience ends.
        return trouble.since_s + LATE_S + trouble.has_death * cluster.silence_s

    def _do_without(self, trouble: Trouble) -> None:
        """Go on with those who are ready, if that is wanted."""
        cluster, ready = self.gang.cluster, self._ready()
        if cluster.shrink and ready:
            self._size = len(ready)
            self._form()
            return
        self.is_sound = False
        self._end(
            self._failed(
                f"{'; '.join(trouble.reasons)} (not replaced within "
                f"{cluster.replace_s:g} s: raise --cluster.replace-s, or go on with "
                "fewer replicas by --cluster.shrink)"
            )
        )

    def _ready(self) -> list[int]:
        return [slot for slot, m in enumerate(self._members) if m.status == "ready"]

    def _form(self) -> None:
        """Seat the replicas for the next epoch, if all who are needed are ready."""
        if self._verdict is not None:
            self._dismiss()
            return
        if (self._epoch and self._trouble is None) or self._seated():
            if self.gang.is_alone and self._trouble:
                self._note_recovery(self._trouble)
            return
        ready = self._ready()
        if len(ready) < self._size or self._is_hopeless():
            return
        if not self._epoch:
            self._formed_s = self._clock()
        self._epoch += 1
        for rank, slot in enumerate(places(self._members, ready, self._size)):
            member = self._members[slot]
            member.status, member.rank = "seated", rank
            self.gang.offer(slot, self._seat(rank))
        if self._trouble is not None:
            self._note_recovery(self._trouble)

    def _is_hopeless(self) -> bool:
        """Count a loss of messages only, and end the run if there are too many."""
        trouble, limit = self._trouble, self.gang.cluster.max_recoveries
        if trouble is None or trouble.has_death:
            return False
        self._losses += 1
        if self._losses > limit:
            self._give_up("; ".join(trouble.reasons))
        return self._losses > limit

    def _give_up(self, reason: str) -> None:
        limit = self.gang.cluster.max_recoveries
        lost = f"lost {self._losses} times, --cluster.max-recoveries {limit}"
        self.is_sound = False
        self._end(self._failed(f"{reason} ({lost})"))

    def _seat(self, rank: int) -> Seat:
        return Seat(
            run=self._name,
            epoch=self._epoch,
            rank=rank,
            size=self._size,
            store=self.gang.store,
        )

    def _note_recovery(self, trouble: Trouble) -> None:
        seconds = self._clock() - trouble.began_s
        count = f"{self._size} replica{'s' if self._size > 1 else ''}"
        self._notes.append(
            f"{'; '.join(dict.fromkeys(trouble.reasons))}; went on with {count} after "
            f"{seconds:.2f} s"
        )
        self._trouble = None

    def _end(self, record: RunRecord) -> None:
        self._verdict, self._ending_s = record, self._clock()
        self._dismiss()

    def _dismiss(self) -> None:
        """Let go who waits for a seat. Who is still starting is let go by the next run."""
        for slot, member in enumerate(self._members):
            if member.status == "ready":
                self.gang.dismiss(slot, self._name)
            if member.status in {"ready", "starting"}:
                member.status = "ended"

    def _abandon(self) -> None:
        """Give up replicas that do not end."""
        self.is_sound = False
        for member in self._seated():
            member.status = "ended"

    def _named(self, member: Member, reason: str) -> str:
        if self.gang.is_alone:
            return reason
        who = "a newcomer" if member.rank is None else f"rank {member.rank}"
        return f"{who}: {reason}"

    def _failed(self, error: str) -> RunRecord:
        wall_s = self._clock() - self._started_s
        return failed_record(self.spec, error, wall_s=wall_s)


def _cause(error: ray.exceptions.RayTaskError) -> BaseException:
    return getattr(error, "cause", None) or error
