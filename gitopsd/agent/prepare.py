"""Prepares a machine to be a worker: sent by `worker bootstrap` as it is, run once, not part of the agent.

stdin: this file, then one line of JSON; stdout: one line of JSON. `inspect` changes nothing. `prepare` does what is
not done yet, each step whole or not at all, so that one that was killed is run again.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

OLDEST_SYSTEMD = 247
JOB_USER = "gitopsd-job"
SUDOERS = Path("/etc/sudoers.d")
LOCK = Path("/run/gitopsd-bootstrap.lock")
SECONDS = 30
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( [^\x00-\x1f\x7f]*)?")
_NO_SHELL = ("nologin", "false")
_SSH_UNITS = ("ssh.service", "sshd.service", "ssh.socket", "sshd.socket")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Problem(Exception):  # noqa: N818 -- told to the person who asked, with the way out
    pass


class Wish(NamedTuple):
    """The account that gitopsd is to log in as, its public key, and gitopsd's directory."""

    user: str
    key: str
    root: Path


class Step(NamedTuple):
    what: str
    is_done: Callable[[Wish], bool]
    do: Callable[[Wish], None]


def main() -> int:
    changed: list[str] = []
    os.environ["PATH"] = _SYSTEM_PATH
    try:
        asked = json.loads(sys.stdin.buffer.readline(1024 * 1024))
        wish = parse(asked)
        answer = inspect(wish)
        if asked["action"] == "prepare" and not answer["problems"]:
            prepare(wish, changed)
        answer["changed"] = changed
    except (Problem, OSError, subprocess.SubprocessError) as error:
        answer = {"error": _said(error), "changed": changed}
    except (ValueError, KeyError, TypeError) as error:
        answer = {"error": f"the request makes no sense: {type(error).__name__}", "changed": changed}
    print(json.dumps(answer))
    return 0


def parse(asked: Any) -> Wish:
    wish = Wish(asked["user"], asked["key"], Path(asked["root"]))
    if not _USER.fullmatch(wish.user) or not _KEY.fullmatch(wish.key) or len(wish.root.parts) < 3:
        raise ValueError
    return wish


def inspect(wish: Wish) -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "hostname": os.uname().nodename,
        "problems": problems(wish),
        "warnings": warnings(wish),
        "steps": [{"what": step.what, "done": step.is_done(wish)} for step in steps(wish)],
        "owner": _owner(wish),
    }


def prepare(wish: Wish, changed: list[str]) -> None:
    descriptor = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem("somebody else bootstraps this machine right now: wait for that, then retry") from None
        for step in steps(wish):
            if not step.is_done(wish):
                step.do(wish)
                changed.append(step.what)
    finally:
        os.close(descriptor)


def steps(wish: Wish) -> list[Step]:
    """In order: the rule comes after the key, so that an account that nobody can use is never root."""
    name = wish.user
    made = [
        Step(f"make the account {name} to log in as", _has_account, _make_account),
        Step(f"let the key log in as {name} ({_place(wish)})", _has_key, _add_key),
        Step(f"let {name} run everything as root ({SUDOERS / _rule_name(wish)})", _has_rule, _add_rule),
        Step(f"make the account {JOB_USER} for jobs", _has_job_account, _make_job_account),
        Step(f"make the directory {wish.root}", _has_root, _make_root),
    ]
    return [made[1], *made[3:]] if name == "root" else made


def problems(wish: Wish) -> list[str]:
    found: list[str] = []
    if os.geteuid() != 0:
        found.append("this is not run as root: log in as root, or as an account with `sudo -n`")
    version = systemd_version(_output(["systemctl", "--version"]))
    if version is None or not Path("/run/systemd/system").is_dir():
        found.append("systemd is not the init of this machine: it can't be a worker")
    elif version < OLDEST_SYSTEMD:
        found.append(f"systemd {version} is too old: a worker needs {OLDEST_SYSTEMD} or newer, so update this machine")
    if wish.user != "root":
        found += _sudo_problems()
    account = _account(wish.user)
    if account is not None:
        if Path(account.pw_shell).name in _NO_SHELL:
            found.append(
                f"the account {wish.user} has the shell {account.pw_shell}, so nobody can log in: choose another --user"
            )
        if wish.user != "root" and account.pw_uid == 0:
            found.append(f"the account {wish.user} has the uid of root: choose another --user, or --user root")
        found += _key_problems(Path(account.pw_dir))
    if wish.root.is_symlink() or (wish.root.exists() and not wish.root.is_dir()):
        found.append(f"{wish.root} is not a directory: move it away")
    return found


def warnings(wish: Wish) -> list[str]:
    """What may keep the machine from being or staying reachable; only a person knows."""
    found: list[str] = []
    states = _output(["systemctl", "is-enabled", *_SSH_UNITS]).split()
    if not any(state in ("enabled", "alias", "static", "generated") for state in states):
        found.append(
            "no sshd of systemd is enabled here: does it come back after a reboot? `systemctl enable ssh` has it so"
        )
    mistakes = _sudo_mistakes(wish)
    if mistakes:
        found.append(f"the rules of sudo have mistakes already, `visudo -c` says: {mistakes}")
    return found


def systemd_version(text: str) -> int | None:
    found = re.match(r"systemd ([0-9]+)", text)
    return int(found.group(1)) if found else None


def _sudo_problems() -> list[str]:
    if shutil.which("sudo") is None or shutil.which("visudo") is None:
        missing = "sudo is not installed here, and nothing is installed by itself"
        return [f"{missing}: `apt-get install sudo`, or let gitopsd log in as root with --user root"]
    return []


def _sudo_mistakes(wish: Wish) -> str:
    """What `visudo -c` says of the rules that others wrote; sudo may go by them all the same. Empty for nothing."""
    if wish.user == "root" or ((SUDOERS / _rule_name(wish)).exists() and not _has_rule(wish)):
        return ""  # ours is what may be wrong, and is put right
    try:
        done = _run(["visudo", "-c"], check=False)
    except FileNotFoundError:
        return ""  # a problem, told as such
    return "" if done.returncode == 0 else _last(done)


def _key_problems(home: Path) -> list[str]:
    for path, is_right in ((home / ".ssh", stat.S_ISDIR), (home / ".ssh/authorized_keys", stat.S_ISREG)):
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not is_right(mode):
            return [f"{path} is a link, or not what it should be: put the key there yourself, or replace it"]
    return []


def _has_account(wish: Wish) -> bool:
    return _account(wish.user) is not None


def _make_account(wish: Wish) -> None:
    # `*` is a password that nobody has; `!`, which useradd gives by itself, some sshd take for a locked account
    _run(["useradd", "--system", "--user-group", "--create-home", "--shell", "/bin/sh", "--password", "*", wish.user])


def _has_key(wish: Wish) -> bool:
    account = _account(wish.user)
    if account is None:
        return False
    kind_and_key = wish.key.split()[:2]
    return any(kind_and_key == line.split()[:2] for line in _lines(_authorized(account)))


def _add_key(wish: Wish) -> None:
    account = _account(wish.user)
    if account is None:
        raise Problem(f"the account {wish.user} is gone again: run this again")
    if not Path(account.pw_dir).is_dir():
        raise Problem(f"{account.pw_dir}, the home of {wish.user}, is not there: make it, then run this again")
    file = _authorized(account)
    if not file.parent.is_dir():
        file.parent.mkdir(mode=0o700)
        os.chown(file.parent, account.pw_uid, account.pw_gid)
    text = "".join(f"{line}\n" for line in [*_lines(file), wish.key])
    _replace(file, text, file.with_name(".authorized_keys.gitopsd"), 0o600, (account.pw_uid, account.pw_gid))


def _has_rule(wish: Wish) -> bool:
    path = SUDOERS / _rule_name(wish)
    try:
        return path.read_text() == _rule(wish) and stat.S_IMODE(path.stat().st_mode) == 0o440
    except FileNotFoundError:
        return False


def _add_rule(wish: Wish) -> None:
    path = SUDOERS / _rule_name(wish)
    SUDOERS.mkdir(mode=0o750, exist_ok=True)
    before = _sudo_mistakes(wish)
    aside = SUDOERS / f".{path.name}.new"  # sudo reads no file with a dot in its name
    _write(aside, _rule(wish), 0o440, (0, 0))
    checked = _run(["visudo", "-c", "-f", str(aside)], check=False)
    if checked.returncode != 0:
        aside.unlink()
        raise Problem(f"visudo refuses the rule for {wish.user}: {_last(checked)}. It was not put in its place")
    aside.replace(path)
    _sync(SUDOERS)
    checked = _run(["visudo", "-c"], check=False)
    if checked.returncode != 0 and not before:
        path.unlink()
        raise Problem(f"with the rule for {wish.user} `visudo -c` fails: {_last(checked)}. It was taken away again")


def _has_job_account(wish: Wish) -> bool:
    del wish
    return _account(JOB_USER) is not None


def _make_job_account(wish: Wish) -> None:
    """As the agent would (accounts.py)."""
    del wish
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    _run([*command, "--shell", "/usr/sbin/nologin", JOB_USER])


def _has_root(wish: Wish) -> bool:
    return wish.root.is_dir()


def _make_root(wish: Wish) -> None:
    wish.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    _sync(wish.root.parent)


def _owner(wish: Wish) -> str:
    """The environment that the machine belongs to already; empty for none that can be read."""
    try:
        return str(json.loads((wish.root / "owner.json").read_bytes())["environment"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _account(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _authorized(account: pwd.struct_passwd) -> Path:
    return Path(account.pw_dir) / ".ssh/authorized_keys"


def _place(wish: Wish) -> str:
    account = _account(wish.user)
    return str(_authorized(account)) if account else "its ~/.ssh/authorized_keys"


def _rule_name(wish: Wish) -> str:
    return "gitopsd" if wish.user == "gitopsd" else f"gitopsd-{wish.user}"


def _rule(wish: Wish) -> str:
    return (
        f"# gitopsd logs in as {wish.user}; made by `gitopsd worker bootstrap`\n"
        f"Defaults:{wish.user} !requiretty\n"
        f"{wish.user} ALL=(root) NOPASSWD: ALL\n"
    )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return []


def _replace(path: Path, text: str, aside: Path, mode: int, owner: tuple[int, int]) -> None:
    _write(aside, text, mode, owner)
    aside.replace(path)
    _sync(path.parent)


def _write(path: Path, text: str, mode: int, owner: tuple[int, int]) -> None:
    """Anew, never through a link that somebody put there."""
    if path.is_symlink() or path.exists():
        path.unlink()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        file.flush()
        os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _run(command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if check and done.returncode != 0:
        raise Problem(f"`{' '.join(command)}` exited with {done.returncode}: {_last(done)}")
    return done


def _output(command: list[str]) -> str:
    try:
        return _run(command, check=False).stdout
    except FileNotFoundError:
        return ""


def _last(done: subprocess.CompletedProcess[str]) -> str:
    return " / ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-3:]) or "no message"


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
