"""Turn Snakemake's jobs into allocations, and tell Snakemake what became of them."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Iterable
from pathlib import Path
from typing import Any

from snakemake.exceptions import RuleException
from snakemake_interface_common.exceptions import ApiError, WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from . import again, command, main_job, packs, resources
from .adopt import Adoption
from .allocation.folder import ExecutorFolder
from .backups import back_up
from .clusters import make_cluster
from .clusters.base import NoAnswer
from .describe import describe
from .desk import Desk
from .journal import Batch, Journal, Task
from .labels import array_label, job_label
from .lease import Lease
from .retries import Retries
from .settings import ExecutorSettings, several_clusters
from .tickets import Ticket
from .watch import Watch

TICK_S = 0.5  # between two looks at what the tasks have written


class Executor(RemoteExecutor):  # type: ignore[misc]  # the interface has no types
    """Runs in two threads: the scheduler's calls `run_jobs`, `cancel` and `handle_...`; the waiting
    thread, started by the base class, calls `check_active_jobs`. `_lock` guards what both touch."""

    settings: ExecutorSettings

    def __post_init__(self) -> None:
        if self.workflow.remote_execution_settings.immediate_submit:
            raise WorkflowError(
                "The submitit executor does not support --immediate-submit. Leave that option out."
            )
        self.next_seconds_between_status_checks = TICK_S
        self.settings = self.workflow.executor_settings or ExecutorSettings()
        latency = float(self.workflow.execution_settings.latency_wait)
        self._lock = threading.RLock()
        self._submitting = threading.Lock()  # held while a submission is underway; taken before `_lock`
        self._tickets: dict[Any, Ticket] = {}
        self._retries = Retries(self.settings.memory_factor)
        self._refusals: set[str] = set()
        self._explained: set[tuple[str, ...]] = set()
        self._stopping = False
        folder = Path(self.settings.folder).absolute()
        self.journal = Journal(folder)
        lease = (self.journal.files.lease, self.settings.lease_s, self._lease_lost, self._say)
        self.lease = Lease(*lease, job=main_job.identity())
        try:
            several_clusters()
            self.lease.acquire()
        except WorkflowError as error:
            self.wait = False
            self.wait_thread.join()  # or it says that Python is about to end
            raise ApiError(str(error)) from None  # printed in one line, without where it came from
        self.journal.clean(self.settings.keep_days)
        self.cluster = make_cluster(self.settings)
        wait = self.settings.pack_wait_s
        self.desk = Desk(self.cluster, self.settings.patience_s, self._say, self._may_submit, wait)
        self.watch = Watch(
            self.cluster, self.settings.poll_floor(), self.settings.requeue_wait, latency, self._say
        )
        self.leftovers = packs.Leftovers(self.cluster, self._say)
        self.adoption = Adoption(self.journal, self.cluster, self._say, self._request)
        self._allocation_rules = self.settings.allocation_rules(latency)
        self._ready = True

    _ready = False  # the waiting thread starts before __post_init__

    # -------------------------------------------------------------- jobs in

    def run_jobs(self, jobs: list[JobExecutorInterface]) -> None:
        """Take over or queue each job; each is accepted or reported as failed before this returns."""
        with self._lock:
            self.adoption.stop_unwanted(jobs, self.workflow.persistence)
            for job in jobs:
                self.run_job_pre(job)
                self.run_job(job)

    def run_job(self, job: JobExecutorInterface) -> None:
        with self._lock:
            try:
                ticket = self._adopted(job) or self._queued(job)
            except (WorkflowError, RuleException, OSError) as error:
                self.report_job_error(SubmittedJobInfo(job), msg=self._once(str(error)))
                return
            self._tickets[job] = ticket
            info = SubmittedJobInfo(job, aux={"ticket": ticket})
            self.report_job_submission(info, register_job=False)  # `_queued` has marked it with its token

    def _once(self, message: str) -> str:
        """Return the message, or a pointer to it where it was given already: a rule's jobs are wrong alike."""
        if message in self._refusals:
            return "same error as for a job above"
        self._refusals.add(message)
        return message

    def _adopted(self, job: Any) -> Ticket | None:
        found = self.adoption.find(job, self.workflow.persistence)
        if found is None:
            return None
        batch, index = found
        ticket = Ticket(job, batch, index, self._logs(job, batch.tasks[index].log))
        self.watch.changed()
        return ticket

    def _queued(self, job: Any) -> Ticket:
        key, array = command.key(job), array_label(job)
        floor = self._retries.memory_floor_mb(key)
        asked = resources.asked(job, self.workflow, self.settings)
        parameters = resources.parameters(asked, job.threads, self.settings, floor)
        if why := command.why_nested(job, self.workflow):
            parameters = resources.with_nested(parameters)
            self._explain(job, "runs as a nested Snakemake", why)
        if packs.wanted(job, self.settings) > 1 and (alone := packs.why_not(job, parameters, self.settings)):
            self._explain(job, "is not packed", alone)
        group, batch = self._open_batch(array, parameters, packs.describe(job, parameters, self.settings))
        updated = back_up(job, self.workflow)
        job.register(batch.token)
        task = self._task(job, key, parameters, updated, nested=bool(why))
        task.argv = command.shorten(task.argv, batch.files.command(key))
        batch.tasks.append(task)
        ticket = Ticket(job, batch, len(batch.tasks) - 1, self._logs(job, task.log))
        self.desk.add(group, ticket)
        return ticket

    def _open_batch(
        self, array: str, parameters: dict[str, Any], pack: dict[str, Any] | None
    ) -> tuple[Any, Batch]:
        """Return the batch that takes jobs of this kind, and what it is called at the desk."""
        group = (array, repr(sorted(parameters.items(), key=str)), repr(pack))
        return group, self.desk.open_batch(group, lambda: self._new_batch(array, parameters, pack))

    def _submit_again(self, tickets: Iterable[Ticket]) -> None:
        """Submit what SLURM has ended and does not give back. For Snakemake it is the same job, running still."""
        moved = []
        for ticket in tickets:
            ended = ticket.state.name if ticket.state is not None else "INTERRUPTED"
            reason = again.why_not(ticket, self.settings.max_requeues)
            ticket.batch.end(ticket.index)
            if (verdict := ticket.batch.verdict(ticket.index)) is not None and verdict.succeeded:
                ticket.succeeded = True  # SLURM has started it again after all
                continue
            if reason:
                self.watch.fail(ticket, None, reason)
                continue
            group, batch = self._open_batch(ticket.batch.label, ticket.batch.parameters, ticket.batch.pack)
            old, index = ticket.batch, ticket.index
            again.prepare(ticket, batch)
            again.move(ticket, batch)
            self.desk.add(group, ticket)
            old.close(index)
            moved.append(f"{ticket.task.label} ({ended})")
        if moved:
            self._say(f"Ended by SLURM or never begun, and submitted again: {', '.join(moved)}.")

    def _task(
        self, job: Any, key: str, parameters: dict[str, Any], updated: dict[str, str], nested: bool
    ) -> Task:
        """Describe the job for its allocation; for a plain command make what it needs to find."""
        if nested:
            what = command.nested(job, self.format_job_exec(job), self.workflow)
        else:
            self._prepare(job)
            what = command.plain(job)
        log = ExecutorFolder(Path(self.settings.folder)).log(array_label(job), job_label(job))
        return describe(job, key, what, log, parameters, updated, self._request(job))

    def _explain(self, job: Any, what: str, why: list[str]) -> None:
        """Say once for each rule, on request, why its jobs cost a Snakemake or an allocation of their own."""
        name = f"Group of {', '.join(sorted(job.rules))}" if job.is_group() else f"Rule {job.rule.name}"
        if self.settings.explain_nested and (name, what, *why) not in self._explained:
            self._explained.add((name, what, *why))
            self._say(f"{name} {what}: {'; '.join(why)}.")

    def _request(self, job: Any) -> str:
        return resources.digest(job, self.settings, command.body(job))

    def _new_batch(self, label: str, parameters: dict[str, Any], pack: dict[str, Any] | None) -> Batch:
        return Batch(
            root=self.journal.root,
            label=label,
            cluster=self.settings.cluster,
            parameters=parameters,
            rules=self._allocation_rules,
            folder=str(Path.cwd()),
            pack=pack,
        )

    def _prepare(self, job: Any) -> None:
        """Do what Snakemake's local executor does before it runs a shell command."""
        self.workflow.async_run(job.check_protected_output())
        self.workflow.async_run(job.remove_existing_output())
        for file in (*job.output, *job.log):
            file.prepare()

    def _logs(self, job: Any, log: str) -> list[Path]:
        own = [] if job.is_group() else [Path(str(path)) for path in job.log]
        return [*own, Path(log)]

    def get_job_args(self, job: JobExecutorInterface, **kwargs: Any) -> str:
        """Return a nested Snakemake's arguments.

        Unlike the base class's they name no folder that goes with us, and no inputs: the allocation waits for
        those, of which there may be more than a command line takes.
        """
        args: str = super(RemoteExecutor, self).get_job_args(job, **kwargs)
        return args

    # ------------------------------------------------------------- jobs out

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        if self._ready and not self._stopping:
            try:
                self._tick()
            except OSError as error:  # the disk may come back
                self._say(f"Could not check the jobs, trying again: {error}")
        for info in active_jobs:
            ticket = (info.aux or {})["ticket"]
            info.external_jobid = ticket.job_id or None
            if ticket.succeeded:
                self.report_job_success(info)
            elif ticket.failure is not None:
                self._report_failure(info, ticket)
            else:
                yield info

    def _tick(self) -> None:
        with self._lock:
            self.desk.seal()
            waiting = [t for t in self._tickets.values() if not t.over]
            self.leftovers.look(t.batch for t in self._tickets.values())
        with self._submitting:
            before = self._submitted(waiting)
            if self.desk.pieces and not self._stopping:
                self.desk.submit_due(others_running=bool(before), alive=before)
            submitted = self._submitted(waiting)
            self.watch.limited = self.desk.limited
            if len(submitted) > len(before):
                self.watch.submitted()
        self.watch.look(submitted)
        with self._lock:
            if not self._stopping:
                self._submit_again([t for t in waiting if t.displaced])

    def _submitted(self, tickets: list[Ticket]) -> list[Ticket]:
        """Return those of the tickets that are not at the desk any more."""
        with self._lock:
            at_desk = {id(t) for t in self.desk.unsubmitted()}
        return [t for t in tickets if id(t) not in at_desk]

    def _report_failure(self, info: SubmittedJobInfo, ticket: Ticket) -> None:
        if note := self._retries.after_failure(info.job, ticket):
            ticket.failure = f"{ticket.failure}\n    {'next':<12} {note}"
        self.report_job_error(info, msg=ticket.failure)

    def print_job_error(self, job_info: SubmittedJobInfo, msg: str | None = None, **kwargs: Any) -> None:
        """Print our block and nothing else, for it names the log itself. A group's jobs have no place for it."""
        if job_info.job.is_group() and msg:
            self.logger.error(msg)
        super(RemoteExecutor, self).print_job_error(job_info, msg=msg, **kwargs)

    def handle_job_success(self, job: JobExecutorInterface) -> None:
        super().handle_job_success(job)
        self._close(job)  # the metadata is written by now: nothing is left to take over

    def handle_job_error(self, job: JobExecutorInterface) -> None:
        super().handle_job_error(job)
        self._close(job)

    def _close(self, job: Any) -> None:
        with self._lock:
            ticket = self._tickets.pop(job, None)
        if ticket is not None and ticket.batch.path.exists():
            ticket.batch.close(ticket.index)
            for path in ticket.boot:
                if path.exists() and path.stat().st_size == 0:
                    path.unlink()

    # ------------------------------------------------------------------ end

    def cancel(self) -> None:
        """On Ctrl-C end the jobs, or leave them to the next start of the same command."""
        self._stopping = True
        try:
            self.cancel_jobs([])
        finally:
            self.shutdown()

    def cancel_jobs(self, active_jobs: Iterable[SubmittedJobInfo]) -> None:
        with self._submitting, self._lock:
            dropped = {id(t) for t in self.desk.drop()}
            submitted = [t for t in self._tickets.values() if not t.over and id(t) not in dropped]
            if self.settings.keep_running or main_job.keeps_running():
                if submitted:
                    self._say(f"{len(submitted)} jobs keep running; the same command takes them over.")
                return
            # Whole arrays where there are any: nobody else's tasks are in them, and the command stays short.
            ids = {array for t in submitted for array in t.batch.arrays()} | {t.array for t in submitted}
            try:
                self.cluster.cancel(ids - {""})
                if submitted:
                    self._say(f"Cancelled {len(submitted)} jobs.")
            except NoAnswer as trouble:
                self._say(f"Could not cancel {', '.join(sorted(ids))}: {trouble}")
            self._end_tasks(submitted)

    def _end_tasks(self, tickets: Iterable[Ticket]) -> None:
        """Keep cancelled tasks from starting. The cancelling comes first, for this needs room on the disk."""
        try:
            for ticket in tickets:
                ticket.batch.end(ticket.index)
        except OSError as error:
            self._say(f"Could not mark cancelled jobs as such, so one may still start: {error}")

    def shutdown(self) -> None:
        try:
            if not self._stopping:
                self.leftovers.look([])
            super().shutdown()
        finally:
            self.lease.release()

    def _may_submit(self) -> bool:
        return not self._stopping and self.lease.held()

    def _lease_lost(self) -> None:
        self._stopping = True
        error = WorkflowError(
            "Another sweep has taken over this folder; this one stops and leaves the jobs to it."
        )
        self.workflow.scheduler.executor_error_callback(error)

    def _say(self, message: str) -> None:
        self.logger.info(message)
