"""One run of a gang, as the driver sees it, and what is done when a replica is lost.

The replicas of a run form a *membership*; memberships are counted by *epochs*. Each
process of the gang is, in one run, a member in one of four states:

    starting ──waits──▶ ready ──is offered a seat──▶ seated ──a message fails──▶ ready
        any ──gives its record, raises, dies, or is dismissed──▶ ended

When a replica is lost, the others find out by a message that fails, leave, and are ready
for the next epoch; a spare, or a new process, is ready too. As soon as none is seated
in the old membership and enough are ready, they are seated again: survivors under their
old ranks. The replicas themselves (``training/recovery.py``) find the newest state that
one of them has kept, and go on from there.

A process that is starting may wait for a core that others use: that is no silence, and no
device time. A run whose machines fail too often has not failed itself: it is ``abandoned``.
"""

import dataclasses
import re
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import ray
import ray.exceptions

from senn_ray.cluster_runtime.gang import Gang, Stream, one_line
from senn_ray.cluster_runtime.messages import Seat
from senn_ray.cluster_runtime.worker import Message
from senn_ray.core.records import Progress, RunRecord, RunSpec
from senn_ray.search.executor import failed_record, not_its_own

_OF_NODE = re.compile(r"its node has died|node failure|^(\S+ \d+: )?silent for")
LATE_S = 5.0
"""Seconds that replicas get to follow when others have finished, or told of a loss."""


@dataclass(kw_only=True)
class Member:
    """One process of the gang, in one run."""

    stream: Stream
    status: Literal["starting", "ready", "seated", "ended"]
    rank: int | None = None
    """The rank in the last membership that it was in; nothing for a newcomer."""


@dataclass(kw_only=True)
class PendingRecovery:
    """A membership that is over while the next one is not formed, and the reasons."""

    began_s: float
    since_s: float
    """When the last loss became known."""
    reasons: list[str] = field(default_factory=list)
    has_death: bool = False
    """Whether it is known which replica was lost; else one of the seated is silent."""


class GangRun:
    """Follow one run of a gang to its record."""

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
            gang: The processes that carry it out; no other run uses them meanwhile.
            data: Reference to the data set in the object store.
            clock: Tells seconds.
        """
        self.spec = spec
        self.gang = gang
        self.is_sound = True
        """Whether the gang can take another run."""
        self._data, self._clock = data, clock
        # A run that is tried again has another name: old seats and groups are not its.
        self._name = f"{spec.run_id}/{uuid.uuid4().hex}"
        self._size = gang.cluster.workers_per_run
        self._epoch = 0
        self._recovery: PendingRecovery | None = None
        self._losses = 0
        self._notes: list[str] = []
        self._heard_s = self._submitted_s = clock()
        self._since_s: float | None = None
        """Since when it is carried out; nothing while it waits for its processes."""
        self._held_s = 0.0
        """How long it was before that."""
        self.abandoned: str | None = None
        """Why it cannot go on with this gang, through no fault of its own."""
        self._question: Any = None
        """What a replica without peers was asked, to see whether it is alive."""
        self._record: RunRecord | None = None
        self._ending_s = 0.0
        self._members = [self._begin(slot) for slot in range(gang.slots)]

    @property
    def has_begun(self) -> bool:
        """Whether it is carried out: at the latest with its first sign of life."""
        return self._since_s is not None

    @property
    def pending_s(self) -> float:
        """For how many seconds it has been waiting for its processes; 0 if it is not."""
        waits = self._record is None and not (
            self._with("seated") or self._with("ready")
        )
        return self._clock() - max(self._heard_s, self._submitted_s) if waits else 0.0

    @property
    def held_device_s(self) -> float:
        """What it has used so far: seconds times replicas."""
        now = self._ending_s or self._clock()
        since = now if self._since_s is None else self._since_s
        return (self._held_s + now - since) * self._size

    @property
    def live(self) -> list[Stream]:
        """The streams from which more will come."""
        return [m.stream for m in self._members if m.status != "ended"]

    def receive(self, stream: Stream) -> Progress | None:
        """Take the next message of one of the ``live`` streams, which has one.

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
            # The run itself raised, and would do so again: nothing is to be recovered.
            member.status = "ended"
            if self._record is None and self.abandoned is None:
                cause = getattr(error, "cause", None) or error
                why = self._named(member, one_line(cause))
                if not_its_own(cause) is None:
                    self._fail(why)
                else:
                    self._abandon(self._named(member, str(not_its_own(cause))))
        except ray.exceptions.RayError as error:
            self._lose(slot, one_line(error))
        else:
            self._heard_s = self._clock()
            return self._take(member, message)
        return None

    def due_s(self) -> float | None:
        """Return in how many seconds ``tick`` has something to do, if it has."""
        cluster, recovery = self.gang.cluster, self._recovery
        if self._record is not None:
            due_s = self._ending_s + LATE_S
        elif self.gang.is_alone and not self._with("seated"):
            return None  # It waits for a core, however long others use them.
        elif recovery is not None and not self._with("seated"):
            due_s = recovery.since_s + cluster.replace_s
        elif recovery is not None:
            # Survivors notice a death at once, but a replica that is only silent when
            # their patience, which is the timeout of a message, ends. If a survivor told
            # of the loss, that patience is over already.
            patience_s = cluster.silence_s if recovery.has_death else 0.0
            due_s = recovery.since_s + LATE_S + patience_s
        elif self._size == 1 and self._with("seated"):
            due_s = self._heard_s + cluster.silence_s
        else:
            return None  # The replicas watch each other.
        return max(due_s - self._clock(), 0.0)

    def tick(self) -> None:
        """Do what is due when nothing was heard for some time."""
        due_s = self.due_s()
        if due_s is None or due_s > 0:
            return
        seated = self._with("seated")
        if self._record is not None:
            # Replicas that do not end hold up the next run, not the outcome of this one.
            for slot in seated:
                self._members[slot].status = "ended"
                self.is_sound = False
        elif self._recovery is not None:
            silent_s = self._clock() - self._recovery.since_s
            for slot in seated:
                self._lose(slot, f"silent for {silent_s:.0f} s")
            if not seated:
                self._do_without(self._recovery)
        else:
            self._ask_whether_alive()

    def outcome(self) -> RunRecord | None:
        """Tell how the run ended, or nothing if it has not, or not for all."""
        record = self._record
        if record is None or self._with("seated"):
            return None
        cost = record.cost
        if self._notes:
            # The ledgers of replicas that were lost are lost, too. What the gang was
            # held for, less what the run has used, is all that no ledger counts.
            lost = max(self.held_device_s - cost.device_s, cost.wasted_device_s)
            cost = dataclasses.replace(cost, wasted_device_s=lost)
        notes = (*self._notes, *record.interruptions)
        return dataclasses.replace(record, cost=cost, interruptions=notes)

    def _begin(self, slot: int) -> Member:
        """Let a process begin the run; one that works alone waits for no seat."""
        stream = self.gang.begin(slot, self.spec, self._data, self._name)
        return Member(stream=stream, status="starting")

    def _with(self, status: str) -> list[int]:
        """List the members in a state, by slot."""
        return [s for s, member in enumerate(self._members) if member.status == status]

    def _take(self, member: Member, message: Message) -> Progress | None:
        """Act on a message; those of an epoch that is over mean nothing any more."""
        if isinstance(message, Progress):
            return message if self._record is None else None
        if isinstance(message, RunRecord):
            member.status = "ended"
            if self._record is None:
                self._end(message)
        elif self.gang.is_alone:
            member.status, member.rank = "seated", 0
            self._since_s = self._clock() if self._since_s is None else self._since_s
            self._form()
        elif message.epoch == self._epoch or member.status == "starting":
            member.status = "ready"
            if message.lost and member.rank is not None:
                recovery = self._recover()
                # A death that Ray told of is the reason; this is only its echo.
                if not recovery.has_death:
                    recovery.reasons.append(message.lost)
            self._form()
        return None

    def _lose(self, slot: int, reason: str) -> None:
        """Note a process that is gone or silent, and start another one in its place."""
        member = self._members[slot]
        needed = self.gang.is_alone or self._recovery is not None
        was_needed = member.status == "seated" or needed
        member.status = "ended"
        if self.gang.is_alone and self._since_s is not None:
            self._held_s += self._clock() - self._since_s
            self._since_s = None  # Its next process may have to wait.
        if self._record is not None:
            self.is_sound = False  # It would lack a process in its next run.
            return
        reason = self._named(member, reason)
        if was_needed:
            recovery = self._recover()
            # What survivors have told so far was an echo of this.
            known = recovery.reasons if recovery.has_death else []
            recovery.reasons = [*known, reason]
            recovery.has_death, recovery.since_s = True, self._clock()
            # gloo notices a death by itself; NCCL would wait for ever.
            for seated in self._with("seated"):
                self.gang.alarm(seated, self._name, self._epoch)
        self._losses += 1
        if self._losses <= self.gang.cluster.max_recoveries:
            self.gang.replace(slot)
            self._members[slot] = self._begin(slot)
            if not self.gang.is_alone:
                self._form()
        elif was_needed:
            self._give_up(reason)

    def _recover(self) -> PendingRecovery:
        """Return what is known of the present recovery; it begins now, if there is none."""
        if self._recovery is None:
            now = self._clock()
            self._recovery = PendingRecovery(began_s=now, since_s=now)
        return self._recovery

    def _form(self) -> None:
        """Seat the replicas for the next epoch, if as many as are needed are ready."""
        if self._record is not None:
            self._dismiss()
            return
        recovery = self._recovery
        if self.gang.is_alone and recovery is not None:
            self._note_recovery(recovery)  # It has begun again.
            return
        is_whole = self._epoch > 0 and recovery is None
        # While one of the old membership is still seated, it might be in a message with
        # others of its epoch: two memberships at once would take two courses.
        if is_whole or self._with("seated"):
            return
        ready = self._with("ready")
        if len(ready) < self._size:
            return
        if recovery is not None and not recovery.has_death:
            # Only messages were lost: if that went on, nothing else would end the run.
            self._losses += 1
            if self._losses > self.gang.cluster.max_recoveries:
                self._give_up("; ".join(recovery.reasons))
                return
        if not self._epoch:
            self._since_s = self._clock()
        self._epoch += 1
        for rank, slot in enumerate(seating(self._members, ready, self._size)):
            member = self._members[slot]
            member.status, member.rank = "seated", rank
            seat = Seat(
                run=self._name,
                epoch=self._epoch,
                rank=rank,
                size=self._size,
                store=self.gang.store,
            )
            self.gang.offer(slot, seat)
        if recovery is not None:
            self._note_recovery(recovery)

    def _do_without(self, recovery: PendingRecovery) -> None:
        """Go on with the replicas that are ready, if that is wanted; else fail."""
        cluster, ready = self.gang.cluster, self._with("ready")
        if cluster.shrink and ready:
            self._size = len(ready)
            self._form()
            return
        self._abandon(
            f"{'; '.join(recovery.reasons)} (not replaced within "
            f"{cluster.replace_s:g} s: raise --cluster.replace-s, or go on with "
            "fewer replicas by --cluster.shrink)"
        )

    def _ask_whether_alive(self) -> None:
        """See whether a replica answers that has no peers to notice its silence."""
        for slot in self._with("seated"):
            if self._question is None or self.gang.has_answered(self._question):
                self._question = self.gang.ask(slot)
                self._heard_s = self._clock()
            else:
                self._question = None
                silent_s = self._clock() - self._heard_s
                self._lose(slot, f"silent for {silent_s:.0f} s")

    def _note_recovery(self, recovery: PendingRecovery) -> None:
        """Write for the record what was lost, and how the run went on."""
        seconds = self._clock() - recovery.began_s
        count = f"{self._size} replica{'s' if self._size > 1 else ''}"
        reasons = "; ".join(dict.fromkeys(recovery.reasons))
        self._notes.append(f"{reasons}; went on with {count} after {seconds:.2f} s")
        self._recovery = None

    def _give_up(self, reason: str) -> None:
        """Fail the run because it was lost too often."""
        limit = self.gang.cluster.max_recoveries
        self.is_sound = False
        error = (
            f"{reason} (lost {self._losses} times, --cluster.max-recoveries {limit})"
        )
        # A process that dies again and again may do so because of its run, as one that is
        # too large for the memory; a node, or a process that only falls silent, does not.
        if _OF_NODE.search(reason):
            self._abandon(error)
        else:
            self._fail(error)

    def _fail(self, error: str) -> None:
        """End the run with a record that says why."""
        wall_s = self.held_device_s / self._size
        self._end(failed_record(self.spec, error, wall_s=wall_s))

    def _abandon(self, reason: str) -> None:
        """End the attempt without a record: the run is to be attempted again."""
        self.abandoned, self.is_sound = reason, False
        self._ending_s = self._clock()

    def _end(self, record: RunRecord) -> None:
        """Keep the first outcome; the others have ``LATE_S`` to come to theirs."""
        self._record, self._ending_s = record, self._clock()
        self._dismiss()

    def _dismiss(self) -> None:
        """Let members go that wait for a seat, or will."""
        for slot in self._with("ready"):
            self.gang.dismiss(slot, self._name)
        # One that is still starting cannot be told: the next run lets it go.
        for slot in [*self._with("ready"), *self._with("starting")]:
            self._members[slot].status = "ended"

    def _named(self, member: Member, reason: str) -> str:
        if self.gang.is_alone:
            return reason
        name = "a newcomer" if member.rank is None else f"rank {member.rank}"
        return f"{name}: {reason}"


def seating(members: Sequence[Member], ready: Sequence[int], size: int) -> list[int]:
    """Choose a process for every rank: survivors first, under their old ranks.

    Args:
        members: The members, by process.
        ready: The processes that may be seated; at least as many as seats.
        size: The number of seats.

    Returns:
        A process for each rank.
    """
    by_rank = {rank: slot for slot in ready if (rank := members[slot].rank) is not None}
    survivors = [by_rank[rank] for rank in sorted(by_rank)]
    fresh = [slot for slot in ready if members[slot].rank is None]
    chosen = [*survivors, *fresh][:size]
    keep = {rank: s for rank, s in by_rank.items() if s in chosen and rank < size}
    rest = [slot for slot in chosen if slot not in keep.values()]
    return [keep[rank] if rank in keep else rest.pop(0) for rank in range(size)]
