"""Changes of the config file, reloads and restarts, each from its confirmation to its result."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from aitui.domain.confirmation import Confirmation
from aitui.domain.progress import ProgressTracker, Steps
from aitui.domain.snapshot import Snapshot
from aitui.errors import AituiError
from aitui.services.config_apply import (
    CHANGING,
    UNDOING,
    ChangeApplyFailed,
    WrittenChange,
    apply_change,
    last_change,
    rollback_confirmation,
    undo_change,
    undo_confirmation,
)
from aitui.services.config_plan import ChangePlan, flag_edit, plan_change
from aitui.services.host_admin import HostAdmin
from aitui.services.reload import (
    RELOADING,
    RESTARTING,
    confirm_reload,
    confirm_restart,
    reload_server,
    restart_server,
)
from aitui.services.session import Session
from aitui.store.journal import JournalEntry


class PlanAnswer(Enum):
    """What the user makes of a planned change."""

    YES = "yes"
    NO = "no"
    ONLY_THIS_MODEL = "only this model"


class Job(Enum):
    """What the runner does."""

    CHANGE = "change"
    ROLLBACK = "rollback"
    UNDO = "undo"
    RELOAD = "reload"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class JobResult:
    """The result of a job; `error` says why it failed.

    `plan` is that of a change, `entry` the change that is taken back, `cause` the reason for a
    rollback, and `written` what the file now holds.
    """

    job: Job
    plan: ChangePlan | None = None
    entry: JournalEntry | None = None
    written: WrittenChange | None = None
    error: AituiError | None = None
    cause: AituiError | None = None


class Frontend(Protocol):
    """Where jobs are confirmed and followed: dialogs, or a terminal."""

    async def ask(self, build: Callable[[Snapshot], Confirmation], /) -> bool:
        """Put a confirmation, built again from each snapshot while it is open."""

    async def confirm_plan(self, plan: ChangePlan, /) -> PlanAnswer:
        """Show what a change would do, and ask."""

    def begin(self, title: str, model: str, /) -> Callable[[Steps], None]:
        """Open the view of a job that loads `model`, if any; the steps go to what is returned."""

    def finish(self, result: JobResult, /) -> None:
        """Show the result of the job that was begun last."""


@dataclass(frozen=True, slots=True)
class ConfigRunner:
    """Runs jobs at one host in front of one frontend.

    Each method returns None if the answer was no. It raises what keeps the job from beginning;
    what goes wrong later is in the result. Without a session a change is only written.
    """

    admin: HostAdmin
    session: Session | None
    frontend: Frontend

    async def change_flag(
        self, model_id: str, flag: str, value: str, *, only: bool = False
    ) -> JobResult | None:
        """Give a flag of llama-server, or `ttl`, another value."""
        while True:
            edit = flag_edit(model_id, flag, value, only_this_model=only)
            plan = await plan_change(self.admin, edit)
            answer = await self.frontend.confirm_plan(plan)
            if answer is not PlanAnswer.ONLY_THIS_MODEL:
                return await self._apply(plan) if answer is PlanAnswer.YES else None
            only = True

    async def change(self, plan: ChangePlan) -> JobResult | None:
        """Make a change that is planned already."""
        answer = await self.frontend.confirm_plan(plan)
        return await self._apply(plan) if answer is PlanAnswer.YES else None

    async def undo(self, format_time: Callable[[float], str]) -> JobResult | None:
        """Take back the last change; `format_time` words the Unix time at which it was made."""
        self.admin.refuse_if_read_only("undoing a change")
        entry = await last_change(self.admin)
        at = format_time(entry.at)
        if not await self.frontend.ask(lambda snapshot: undo_confirmation(entry, at, snapshot)):
            return None
        return await self._undo(Job.UNDO, "Undoing the last change", entry)

    async def reload(self) -> JobResult | None:
        """Make the server read its config file again."""
        if not await confirm_reload(self.admin, self.frontend.ask):
            return None

        async def work(progress: ProgressTracker) -> None:
            await reload_server(self.admin, self._live_session, progress, self.frontend.ask)

        return await self._run(JobResult(Job.RELOAD), "Reloading the config file", RELOADING, work)

    async def restart(self) -> JobResult | None:
        """Restart the service."""
        if not await confirm_restart(self.admin, self.frontend.ask):
            return None

        async def work(progress: ProgressTracker) -> None:
            await restart_server(self.admin, self._live_session, progress)

        title = f"Restarting {self.admin.service.unit}"
        return await self._run(JobResult(Job.RESTART), title, RESTARTING, work)

    async def _apply(self, plan: ChangePlan) -> JobResult:
        """Write, apply and verify; on a failure offer to put the old value back."""
        change = plan.change
        verb, subject = "Changing", f"{change.flag} of {change.model}"
        if not change.flag:
            subject = change.model or "the config file"
            if change.model:
                verb = "Adding" if change.added else "Removing"
        result = await self._run(
            JobResult(Job.CHANGE, plan),
            f"{verb} {subject}",
            CHANGING,
            lambda progress: apply_change(
                self.admin, self.session, plan, progress, self.frontend.ask
            ),
            model=change.model,
        )
        cause, written = result.error, result.written
        if cause is None or written is None:
            return result
        if not await self.frontend.ask(lambda _: rollback_confirmation(cause)):
            return result
        rolled_back = await self._undo(
            Job.ROLLBACK, "Putting the old value back", written.entry, cause
        )
        return result if rolled_back.error is None else rolled_back

    async def _undo(
        self, job: Job, title: str, entry: JournalEntry, cause: AituiError | None = None
    ) -> JobResult:
        return await self._run(
            JobResult(job, entry=entry, cause=cause),
            title,
            UNDOING,
            lambda progress: undo_change(
                self.admin, self.session, entry, progress, self.frontend.ask
            ),
            model=entry.model,
        )

    async def _run(
        self,
        result: JobResult,
        title: str,
        steps: tuple[str, ...],
        work: Callable[[ProgressTracker], Awaitable[WrittenChange | None]],
        *,
        model: str = "",
    ) -> JobResult:
        progress = ProgressTracker(self.admin.clock, self.frontend.begin(title, model), *steps)
        try:
            result = replace(result, written=await work(progress))
        except ChangeApplyFailed as error:
            result = replace(result, written=error.written, error=error.cause)
        except AituiError as error:
            result = replace(result, error=error)
        self.frontend.finish(result)
        return result

    @property
    def _live_session(self) -> Session:
        assert self.session is not None, "a reload needs the server"
        return self.session
