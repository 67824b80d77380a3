"""Putting the service in place: steps that are looked at first and done afterwards, and that may be done again."""

import grp
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gitopsd.daemon.configuration.configuration import SYSTEM_PATH, Configuration, read_configuration
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.service.access import lacking
from gitopsd.daemon.service.account import Account, find_account, make_account
from gitopsd.daemon.service.executable import executable_problem, own_command
from gitopsd.daemon.service.needs import Needs, needs_of
from gitopsd.daemon.service.places import ACCOUNT, CONFIGURATION_FOLDER, CREDENTIALS, DROP_IN, NAME, UNIT
from gitopsd.daemon.service.systemctl import (
    START_SECONDS,
    is_systemd_running,
    last_lines,
    properties,
    systemctl,
)
from gitopsd.daemon.service.unit_files import configuration_text, drop_in_text, installed_user, unit_text
from gitopsd.repo.durable import fsync_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """`user` is an account that is there already, or None for the one that the service was installed for before, else
    one of its own; `repository` is for a configuration that is not there yet, and may be empty.
    """

    configuration: Path = SYSTEM_PATH
    user: str | None = None
    repository: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`what` it comes to, for people; `done`: it is so already."""

    what: str
    done: bool
    do: Callable[[], None]


class NotYetError(ControllerError):
    """All that can be put in place is; a person has to do something before it can be started."""


def install(wish: Wish, tell: Callable[[Step], None], *, dry_run: bool = False) -> bool:
    """Whether anything was changed, or would be; `tell` is told each step once it is done.

    Raises ControllerError for what is in the way, with what to do: NotYetError where that is the configuration.
    """
    command = _require_machine()
    wish = replace(wish, user=_user(wish.user))
    changed = False

    def take(steps: Iterable[Step]) -> None:
        nonlocal changed
        for step in steps:
            if not step.done:
                changed = True
                if not dry_run:
                    step.do()
            tell(step)

    take(_account(wish))
    account = find_account(wish.user or ACCOUNT)
    take(_configuration(wish, account))
    configuration = read_configuration(wish.configuration) if wish.configuration.exists() else Configuration()
    if not configuration.repository:
        if dry_run and wish.repository:
            return True
        raise NotYetError(
            f"{wish.configuration} names no repository yet, so the service is not started",
            "write `repository:` there, and run this again",
        )
    needs = needs_of(configuration)
    if account is None:  # of a dry run: nobody to ask what it may do
        return True
    unit = list(_unit(command, wish, account, needs))
    is_active = properties("ActiveState")["ActiveState"] == "active"
    if not is_active:  # whom it is for is known from now on, when this is run again
        take(unit)
    if not (dry_run and changed):  # what would be done first may be what it needs
        _require_access(account, needs, wish)
    if is_active:  # and goes on with the unit that it has, where something is missing
        take(unit)
    take(_start_it(runs=is_active and all(step.done for step in unit)))
    return changed


def _require_machine() -> tuple[str, ...]:
    """The command that the service runs. Raises ControllerError."""
    if os.geteuid() != 0:
        raise ControllerError("only root can install a service", "run it with sudo")
    if not is_systemd_running():
        raise ControllerError("systemd doesn't run this machine", "run `gitopsd daemon` by the manager that does")
    command = own_command()
    problem, hint = executable_problem(command)
    if problem:
        raise ControllerError(problem, hint)
    return command


def _require_access(account: Account, needs: Needs, wish: Wish) -> None:
    found = list(lacking(account, needs, wish.configuration))
    if found:
        raise NotYetError(
            "\n".join(["the service can't do its work yet:", *(f"  {problem}\n    {hint}" for problem, hint in found)]),
            "do that, and run this again",
        )


def _user(wanted: str | None) -> str | None:
    """Run again without a name, it stays whose it is: its configuration and repository are for that account."""
    if wanted is None and DROP_IN.is_file():
        wanted = installed_user(DROP_IN.read_text(encoding="utf-8"))
    return None if wanted == ACCOUNT else wanted


def _account(wish: Wish) -> Iterator[Step]:
    if wish.user is None:
        yield Step(
            what=f"the system account {ACCOUNT}",
            done=find_account(ACCOUNT) is not None,
            do=partial(make_account, ACCOUNT),
        )
    elif find_account(wish.user) is None:
        raise ControllerError(f"there is no account {wish.user}", "make it, or leave --user out for one of its own")


def _configuration(wish: Wish, account: Account | None) -> Iterator[Step]:
    def make_folder(folder: Path, mode: int, group: int) -> None:
        folder.mkdir(exist_ok=True)
        os.chown(folder, 0, group)
        folder.chmod(mode)

    group = account.group if account is not None else 0
    # the account has to get through to the configuration, and only systemd to credentials
    passes = account is not None and account.can("-x", CONFIGURATION_FOLDER)
    yield Step(
        what=f"the folder {CONFIGURATION_FOLDER}",
        done=passes,
        do=partial(make_folder, CONFIGURATION_FOLDER, 0o750, group),
    )
    yield Step(
        what=f"the folder {CREDENTIALS}", done=CREDENTIALS.is_dir(), do=partial(make_folder, CREDENTIALS, 0o700, 0)
    )
    if wish.configuration == SYSTEM_PATH:
        text = configuration_text(wish.repository)
        yield Step(
            what=f"a configuration to begin with, {SYSTEM_PATH}",
            done=SYSTEM_PATH.exists(),
            do=partial(_write, SYSTEM_PATH, text, mode=0o640, group=group),
        )


def _unit(command: tuple[str, ...], wish: Wish, account: Account, needs: Needs) -> Iterator[Step]:
    group = grp.getgrgid(account.group).gr_name
    texts = {UNIT: unit_text(), DROP_IN: drop_in_text(command, wish.configuration, account, group, needs)}
    same = {path: path.is_file() and path.read_text(encoding="utf-8") == text for path, text in texts.items()}
    for path, text in texts.items():
        yield Step(what=str(path), done=same[path], do=partial(_write, path, text, mode=0o644, group=0))
    loaded = properties("NeedDaemonReload", "LoadState")
    is_loaded = loaded["LoadState"] == "loaded" and loaded["NeedDaemonReload"] == "no" and all(same.values())
    yield Step(what="systemd knows them", done=is_loaded, do=lambda: _quietly("daemon-reload"))


def _start_it(*, runs: bool) -> Iterator[Step]:
    enabled = properties("UnitFileState")["UnitFileState"] == "enabled"
    yield Step(what="the service starts with the machine", done=enabled, do=lambda: _quietly("enable", NAME))
    yield Step(what="the service runs, and is ready", done=runs, do=_start)


def _quietly(*arguments: str, seconds: float = 60.0) -> None:
    systemctl("--quiet", *arguments, seconds=seconds)


def _start() -> None:
    """Waits until it says that it is ready. Raises ControllerError with its last words where it doesn't."""
    try:
        _quietly("reset-failed", NAME)
        _quietly("restart", NAME, seconds=START_SECONDS)
    except ControllerError as error:
        raise ControllerError(
            f"the service doesn't start:\n{last_lines()}".rstrip(), "put that right, and run this again"
        ) from error


def _write(path: Path, text: str, *, mode: int, group: int) -> None:
    """Aside, then renamed."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as aside:
        aside.write(text.encode())
        aside.flush()
        os.fchmod(aside.fileno(), mode)
        os.fchown(aside.fileno(), 0, group)
        os.fsync(aside.fileno())
    Path(aside.name).replace(path)
    fsync_folder(path.parent)


def remove() -> bool:
    """Stops it and takes its unit away; whether there was one. Configuration, account and state stay."""
    _require_root()
    was_there = UNIT.exists() or DROP_IN.parent.exists()
    if properties("LoadState")["LoadState"] not in {"not-found", "masked"}:
        systemctl("--quiet", "disable", "--now", NAME, seconds=START_SECONDS)
    UNIT.unlink(missing_ok=True)
    DROP_IN.unlink(missing_ok=True)
    if DROP_IN.parent.is_dir() and not any(DROP_IN.parent.iterdir()):
        shutil.rmtree(DROP_IN.parent)
    if was_there:
        systemctl("daemon-reload")
    return was_there


def _require_root() -> None:
    if os.geteuid() != 0:
        raise ControllerError("only root can remove a service", "run it with sudo")
    if not is_systemd_running():
        raise ControllerError("systemd doesn't run this machine", "there is no service to remove")
