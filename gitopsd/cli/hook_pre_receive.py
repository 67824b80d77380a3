"""Before Git moves any ref: is what was pushed fit to be deployed, and what would deploying it change."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from gitopsd.cli.failure import told
from gitopsd.cli.hook_judgement import FITS, REFUSED, Judge
from gitopsd.cli.remote_text import RemoteText
from gitopsd.daemon.configuration.configuration import Configuration, read_configuration
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.hooks.bounded import Ended, run_bounded
from gitopsd.daemon.hooks.pushes import BRANCHES, PushedRef, of_people
from gitopsd.daemon.hooks.settings import HookSettings
from gitopsd.daemon.hooks.source_branch import source_branch_of
from gitopsd.model.excerpt import format_diagnostics, printable
from gitopsd.repo.incoming import lay_out_incoming

MEMORY = 2 << 30
"""For planning a push, in bytes: ten thousand jobs on a thousand workers take less than a tenth of it."""

_UNJUDGED = 2
_MOST_BRANCHES = 3


class PreReceive:
    """One push. `let_through` says what it comes to, and why, as it goes."""

    def __init__(self, settings: HookSettings, git_dir: Path, pushed: tuple[PushedRef, ...]) -> None:
        self._settings = settings
        self._git_dir = git_dir
        self._updates = {one.ref: one.new for one in pushed}
        self._pushed = of_people(pushed)
        self._text = RemoteText()
        self._end = time.monotonic() + settings.plan_deadline

    def let_through(self) -> bool:
        """False where the push is to be rejected."""
        try:
            configuration = read_configuration(self._settings.configuration)
            branch = source_branch_of(configuration, self._git_dir)
            with TemporaryDirectory(prefix="gitopsd-push-") as folder:
                return self._judged(configuration, branch, Path(folder))
        except DiagnosticsError as error:
            self._text.say(format_diagnostics(error.diagnostics, error.sources))
            return self._unjudged("the operator's configuration can't be used")
        except Exception as error:  # noqa: BLE001 - whatever it is, the push must not wait for its cause to be found
            return self._unjudged(_sentence(error))

    def _judged(self, configuration: Configuration, source_branch: str, folder: Path) -> bool:
        refs = lay_out_incoming(folder, self._git_dir, self._updates)
        judge = Judge(
            folder=folder,
            git_dir=self._git_dir,
            configuration=configuration,
            environments=self._settings.environments,
            text=self._text,
        )
        source = [one for one in self._pushed if one.branch == source_branch]
        tags = [one.tag for one in self._pushed if one.tag]
        if not all(self._source(judge, one) for one in source):
            return False
        if tags and not source and not self._verdict(self._run(lambda: judge.tags(tags, source_branch)), "the tag"):
            return False
        others = [one for one in self._pushed if one.branch and one.branch != source_branch and one.new]
        for one in others[:_MOST_BRANCHES]:
            self._other(judge, one, source_branch)
        if len(others) > _MOST_BRANCHES:
            self._text.say(f"gitopsd: {len(others) - _MOST_BRANCHES} more branches were pushed, and not planned")
        if others and BRANCHES + source_branch not in refs:
            self._text.say(
                f"gitopsd: only pushes to {source_branch} are deployed, and there is no such branch here yet\n"
                f"  hint: on the server, `git symbolic-ref HEAD {others[0].ref}`; or name the branch with "
                "`source_branch` in the operator's configuration"
            )
        return True

    def _source(self, judge: Judge, pushed: PushedRef) -> bool:
        branch, old, new = pushed.branch, pushed.old, pushed.new
        if new is None:
            self._text.say(f"gitopsd: this push deletes {branch}, which is what is deployed")
            return self._rewritten(branch, "push it without deleting it; to stop its jobs, remove its workflows")
        if old is not None:
            ended = self._run(lambda: judge.rewrites(old, new))
            if ended.code == REFUSED:
                self._text.say(f"gitopsd: this push rewrites {branch}: {old[:12]} is not in the history of {new[:12]}")
                way_out = "`git pull --rebase` and push again; to go back to an earlier version, `git revert`"
                if not self._rewritten(branch, way_out):
                    return False
        return self._verdict(self._run(lambda: judge.version(new, branch, branch)), branch)

    def _rewritten(self, branch: str, way_out: str) -> bool:
        if self._settings.enforces and not self._settings.allow_rewrite:
            self._text.say(f"gitopsd: rejected, and {branch} stays as it is\n  hint: {way_out}")
            self._text.say(
                "  where it must be: `gitopsd hook install --allow-rewrite`, and `gitopsd accept` afterwards"
            )
            return False
        self._text.say("  it is let through; a controller deploys nothing from it before `gitopsd accept`")
        return True

    def _verdict(self, ended: Ended, branch: str) -> bool:
        if ended.code == FITS:
            return True
        if ended.code != REFUSED:
            return self._unjudged(ended.problem)
        if self._settings.enforces:
            self._text.say(f"gitopsd: rejected, and {branch} stays as it is: mend this and push again")
            return False
        self._text.say("gitopsd: let through all the same (advise), and not deployed before it is mended")
        return True

    def _unjudged(self, why: str) -> bool:
        """What can't be judged is none of the pusher's fault, unless the operator wants certainty."""
        self._text.say(f"gitopsd: this push could not be judged{': ' + why if why else ''}")
        if self._settings.enforces and self._settings.strict:
            self._text.say("  rejected, since the hook was installed with --strict; push again, or ask the operator")
            return False
        self._text.say("  it is let through; whatever deploys it judges it again")
        return True

    def _other(self, judge: Judge, pushed: PushedRef, source_branch: str) -> None:
        """A plan for information: whatever comes of it, the branch is let through."""
        commit = pushed.new or ""
        ended = self._run(lambda: judge.version(commit, pushed.branch, source_branch))
        if ended.code is None or ended.code == _UNJUDGED:
            self._text.say(
                f"gitopsd: {pushed.branch} could not be planned{': ' + ended.problem if ended.problem else ''}"
            )

    def _run(self, question: Callable[[], int]) -> Ended:
        return run_bounded(
            lambda: self._answer(question),
            deadline=self._end - time.monotonic(),
            memory=MEMORY,
            late=f"it took more than {self._settings.plan_deadline:g} s",
        )

    def _answer(self, question: Callable[[], int]) -> int:
        """In the process of its own."""
        try:
            return question()
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the one boundary of that process
            self._text.say(f"error: {_sentence(error)}")
            return _UNJUDGED


def _sentence(error: Exception) -> str:
    message, hint = told(error)
    return "\n  ".join(printable(line) for line in message.split("\n")) + (
        f"\n  hint: {printable(hint)}" if hint else ""
    )
