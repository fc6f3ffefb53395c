"""Submit a verb as a job of a cluster, through Ray's job client.

The job runs ``python -m senn_ray VERB …`` on the head node and joins the cluster there
by itself. It outlives this process.
"""

import asyncio
import contextlib
import logging
import os
import shlex
import sys
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TextIO

from senn_ray.cluster_runtime.reach import WAIT_S, explain
from senn_ray.core.errors import ConfigError, ResourceError

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

Write = Callable[[str], object]

# Never needed on the cluster; what .gitignore names stays behind, too.
_LEFT_BEHIND = [".git", ".venv", "runs", "*.egg-info", "__pycache__"]
_FOLDERS = ("--out", "--output.root")
_ROOT = "SENN_RAY_OUTPUT_ROOT"
_JOBS = frozenset({"grow", "compare", "scan"})
"""Verbs that make a run folder."""
# Environment variables that would silently replace the address that was given.
_OVERRIDING = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")


def submit_job(
    address: str,
    args: Sequence[str],
    *,
    environment: Mapping[str, str] = MappingProxyType({}),
    working_dir: Path | None = None,
    write: Write | None = None,
    note: Write | None = None,
) -> int:
    """Run a verb on a cluster and show what it prints.

    An interrupt ends the showing, not the job. A cluster that cannot be reached is a
    ResourceError, within seconds.

    Args:
        address: Ray's job address, such as ``http://HOST:8265``.
        args: The verb and its flags.
        environment: Variables that the job gets, such as settings by their names.
        working_dir: Folder that is sent along, at most 100 MiB; the job starts in its
            copy.
        write: Takes the output of the job (default: standard output).
        note: Takes remarks about the job (default: standard error).

    Returns:
        The exit code of the verb; 130 if interrupted.
    """
    write, note = write or _to(sys.stdout), note or _to(sys.stderr)
    args, variables = _with_absolute_out(args, dict(environment), note)
    with _reached_directly(address):
        client = _client(address)
        job = _start(client, args, variables, working_dir)
        note(f"submitted job {job} to {address}\n")
        if variables:
            note(f"settings sent along: {', '.join(sorted(variables))}\n")
        return _shown_to_its_end(client, job, address, write=write, note=note)


def _shown_to_its_end(
    client: "JobSubmissionClient", job: str, address: str, *, write: Write, note: Write
) -> int:
    try:
        asyncio.run(_follow(client, job, write))
        return _exit_code(client, job, note)
    except KeyboardInterrupt:
        note(
            f"\njob {job} goes on. Its output: ray job logs --follow {job} --address "
            f"{address}. To stop it: ray job stop {job} --address {address}\n"
        )
        return 130


def _with_absolute_out(
    args: Sequence[str], variables: dict[str, str], note: Write
) -> tuple[list[str], dict[str, str]]:
    """Make folders of results absolute: the job starts in a temporary folder."""
    given, found = list(args), _ROOT in variables
    if found:
        variables[_ROOT] = _absolute("output.root", variables[_ROOT], note)
    for place, word in enumerate(given):
        flag, equals, value = word.partition("=")
        if flag not in _FOLDERS:
            continue
        found = True
        if equals:
            given[place] = f"{flag}={_absolute(flag, value, note)}"
        elif place + 1 < len(given):
            given[place + 1] = _absolute(flag, given[place + 1], note)
    if not found and not _JOBS.isdisjoint(given[:1]):
        note(
            "no --out: the results will be in a temporary folder of the head node. "
            "Give --out /FOLDER that the cluster can write to\n"
        )
    return given, variables


def _absolute(flag: str, out: str, note: Write) -> str:
    if "://" in out or Path(out).is_absolute():
        return out
    absolute = str(Path(out).absolute())
    note(f"{flag} {out} is taken as {absolute}, on the head node of the cluster\n")
    return absolute


def _client(address: str) -> "JobSubmissionClient":
    if not address.startswith(("http://", "https://")):
        raise ConfigError(
            f"--address {address}: submit wants the job address of a cluster, such as "
            "http://HOST:8265"
        )
    _require_answer(address)
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    # Its client reports every upload and every closed socket.
    logging.getLogger("ray").setLevel(logging.WARNING)
    with _address_from_arguments():
        try:
            return JobSubmissionClient(address)
        except AuthenticationError as error:
            raise ResourceError(explain(address, error)) from error
        except (RuntimeError, ConnectionError) as error:
            text = " ".join(str(error).split())
            raise ResourceError(
                f"{address} takes no jobs: {text} Give the job address that "
                "`ray start --head` prints, usually port 8265"
            ) from error


def _require_answer(address: str) -> None:
    # Ray's client waits as long as the network does, which may be for minutes.
    try:
        # A proxy of the environment is for the world outside, not for a cluster.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{address}/api/version", timeout=WAIT_S):
            return
    except urllib.error.HTTPError:
        return  # It answers; what it wants, the client will tell.
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise ResourceError(
            f"no Ray cluster takes jobs at {address} ({reason}). Is its head running, "
            "with its dashboard? On the head: ray start --head --dashboard-host 0.0.0.0"
        ) from error


@contextlib.contextmanager
def _address_from_arguments() -> Iterator[None]:
    hidden = {name: os.environ.pop(name) for name in _OVERRIDING if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextlib.contextmanager
def _reached_directly(address: str) -> Iterator[None]:
    """Let the client of Ray pass by the proxies of the environment, as its logs do."""
    host = urllib.parse.urlsplit(address).hostname or ""
    before = {name: os.environ.get(name) for name in ("no_proxy", "NO_PROXY")}
    for name, value in before.items():
        os.environ[name] = ",".join(filter(None, (value, host)))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ |= {} if value is None else {name: value}


def _start(
    client: "JobSubmissionClient",
    args: Sequence[str],
    variables: Mapping[str, str],
    working_dir: Path | None,
) -> str:
    job = f"senn-ray-{uuid.uuid4().hex[:8]}"
    runtime_env: dict[str, Any] = {"env_vars": dict(variables)} if variables else {}
    if working_dir is not None:
        folder = str(working_dir.absolute())
        runtime_env |= {"working_dir": folder, "excludes": _LEFT_BEHIND}
    try:
        return client.submit_job(
            # Unbuffered, so that its lines are seen when they are printed.
            entrypoint=f"python -u -m senn_ray {shlex.join(args)}",
            submission_id=job,
            runtime_env=runtime_env,
        )
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ResourceError(
            f"the job was not accepted: {text} If the folder is too large, give "
            "--working-dir of a smaller one (data belongs on shared storage)"
        ) from error


async def _follow(client: "JobSubmissionClient", job: str, write: Write) -> None:
    """Show the output until the job ends, also across broken connections."""
    shown = 0
    while True:
        skip = shown
        try:
            async for text in client.tail_job_logs(job):
                fresh = text[skip:]
                skip = max(skip - len(text), 0)
                shown += len(fresh)
                write(fresh)
        except RuntimeError:
            pass  # The connection broke; the status tells whether the job goes on.
        if client.get_job_status(job).is_terminal():
            return
        await asyncio.sleep(1.0)


def _exit_code(client: "JobSubmissionClient", job: str, note: Write) -> int:
    info = client.get_job_info(job)
    code = info.driver_exit_code
    note(f"job {job}: {str(info.status).lower()}\n")
    if str(info.status) == "SUCCEEDED":
        return 0
    if str(info.status) == "STOPPED":
        return 130
    if not code:
        # The verb did not get to say anything.
        note(f"{info.message}\n")
        return ResourceError.exit_code
    return code


def _to(stream: TextIO) -> Write:
    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write
