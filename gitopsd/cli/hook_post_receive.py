"""After Git moved the refs: the controller is told, and what it does is shown to whoever pushed."""

from pathlib import Path
from tempfile import TemporaryDirectory

from gitopsd.cli.event_text import EventText
from gitopsd.cli.failure import told
from gitopsd.cli.hook_judgement import Judge
from gitopsd.cli.hook_pre_receive import MEMORY
from gitopsd.cli.remote_text import RemoteText
from gitopsd.daemon.configuration.configuration import Configuration, read_configuration
from gitopsd.daemon.controller.control_socket.client import ask, find_leader
from gitopsd.daemon.controller.control_socket.protocol import FollowVersion, Leader
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.hooks.bounded import run_bounded
from gitopsd.daemon.hooks.pushes import BRANCHES, PushedRef
from gitopsd.daemon.hooks.settings import HookSettings
from gitopsd.daemon.hooks.source_branch import source_branch_of
from gitopsd.repo.incoming import lay_out_incoming, read_refs
from gitopsd.repo.location import path_identity

_NO_LEADER = (
    "gitopsd: not deployed from here: no controller of this machine leads this repository and lets this account ask\n"
    "  `gitopsd apply` deploys it; a controller that leads it finds it by itself"
)


def follow_push(settings: HookSettings, git_dir: Path, pushed: tuple[PushedRef, ...]) -> None:
    """Nothing that goes wrong here is a reason to fail: the push is done, and the controller finds it anyway."""
    text = RemoteText()
    try:
        configuration = read_configuration(settings.configuration)
        commit, branch = _to_deploy(settings, configuration, git_dir, pushed)
        if commit:
            leader = find_leader(path_identity(git_dir), configuration.listen.control)
            if leader is None:
                text.say(_NO_LEADER)
            else:
                _follow(leader, commit, branch, settings.deadline, text)
    except ControllerError as error:
        text.say(f"gitopsd: {error.message}\n  hint: {error.hint}")
    except DiagnosticsError:  # shown before the push went through
        text.say("gitopsd: this push can't be followed: the operator's configuration can't be used")
    except Exception as error:  # noqa: BLE001 - as the docstring says
        text.say(f"gitopsd: this push can't be followed: {told(error)[0]}")


def _follow(leader: Leader, commit: str, branch: str, deadline: float, text: RemoteText) -> None:
    told_events = EventText(commit)
    begun = False
    request = FollowVersion(repository=leader.repository, source=commit)
    for event in ask(request, Path(leader.socket), deadline=deadline):
        if not begun:
            begun = True
            text.say(f"\ngitopsd: deploying {branch} at {commit[:12]}; Ctrl-C ends only this report")
        told_events.tell(event)
        if not told_events.is_heard:  # who pushed is gone
            return


def _to_deploy(
    settings: HookSettings, configuration: Configuration, git_dir: Path, pushed: tuple[PushedRef, ...]
) -> tuple[str, str]:
    """The version whose deployment this push asks for, and its branch; empty where it asks for none."""
    branch = source_branch_of(configuration, git_dir)
    commit = next((one.new for one in pushed if one.branch == branch and one.new), None)
    tags = [one.tag for one in pushed if one.tag and one.old]
    if commit is None and tags and _pins_moved(settings, configuration, git_dir, tags, branch):
        commit = read_refs(git_dir).get(BRANCHES + branch)
    return commit or "", branch


def _pins_moved(
    settings: HookSettings, configuration: Configuration, git_dir: Path, tags: list[str], branch: str
) -> bool:
    with TemporaryDirectory(prefix="gitopsd-push-") as folder:
        lay_out_incoming(Path(folder), git_dir, {})
        judge = Judge(
            folder=Path(folder),
            git_dir=git_dir,
            configuration=configuration,
            environments=settings.environments,
            text=RemoteText(),
        )
        ended = run_bounded(
            lambda: len(judge.pinned_to(tags, branch)) > 0,
            deadline=settings.plan_deadline,
            memory=MEMORY,
            late="the pins can't be read",
        )
    return ended.code == 1
