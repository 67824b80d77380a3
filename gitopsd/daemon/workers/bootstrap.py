"""Preparing a machine to be a worker, before any fleet file names it: which key, which account, and is it let in."""

import re
from dataclasses import dataclass
from pathlib import Path

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.secrets.ssh_identity import identities
from gitopsd.fleet import verbs
from gitopsd.fleet.bootstrap import NewMachine, Prepared, Wish
from gitopsd.fleet.connect import Workers
from gitopsd.fleet.errors import WorkerError, WorkerUnreachable
from gitopsd.fleet.host_key import HostKey, parse_host_key
from gitopsd.fleet.target import SshSettings, Target
from gitopsd.model.names import NAME_PATTERN

_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9.-]*|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_WORDS_OF_YAML = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine that is to be prepared, and the account to reach it by; `login` is None where SSH's settings say it."""

    host: str
    login: str | None
    port: int | None

    def target(self, host_key: HostKey | None) -> Target:
        key = None if host_key is None else host_key.line
        return Target(name=self.host, address=self.host, user=self.login, port=self.port, host_key=key)


def parse_machine(text: str, port: int | None) -> Machine:
    """`[USER@]HOST`. Raises ControllerError."""
    login, at, host = text.rpartition("@")
    allowed = re.fullmatch(r"[A-Za-z0-9:_%][A-Za-z0-9.:_%-]{0,252}", host)
    if allowed is None or (at and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", login)):
        raise ControllerError(f"`{text}` is not [USER@]HOST", "write it as for ssh: `root@10.0.0.11`; a port as --port")
    return Machine(host=host, login=login or None, port=port)


def settings_of(configuration: Configuration) -> SshSettings:
    ssh = configuration.ssh
    return SshSettings(identity=identities(ssh), jump=ssh.jump or None)


def public_key(configuration: Configuration, chosen: Path | None) -> tuple[str, Path]:
    """What gitopsd logs in with, as a line of authorized_keys, and where it was read. Raises ControllerError."""
    identity = configuration.ssh.identity
    if chosen is not None:
        path = chosen
    elif not isinstance(identity, str):
        raise ControllerError(
            f"the key is the credential {identity.credential}, and its public half isn't known",
            "name it by --key FILE.pub; `ssh-keygen -y -f PRIVATE-KEY` prints that of a private key",
        )
    elif identity:
        path = Path(f"{identity}.pub").expanduser()
    else:
        folder = Path.home() / ".ssh"
        found = [folder / f"{name}.pub" for name in _DEFAULT_KEYS if (folder / f"{name}.pub").is_file()]
        if not found:
            raise ControllerError(
                f"there is no public key in {folder}",
                "name the one that gitopsd is to log in with by --key FILE.pub; `ssh-keygen -t ed25519` makes one",
            )
        path = found[0]
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ControllerError(
            f"the public key {path} can't be read: {reason}",
            "name it by --key FILE.pub; `ssh-keygen -y -f PRIVATE-KEY` prints that of a private key",
        ) from None
    return _public_line(text, path), path


def _public_line(text: str, path: Path) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if "PRIVATE KEY" in text:
        raise ControllerError(f"{path} is a private key, which stays here", f"name the public one: --key {path}.pub")
    if len(lines) != 1 or parse_host_key(lines[0]) is None:
        raise ControllerError(
            f"{path} is not one public key", "one line, such as `ssh-ed25519 AAAA… name`, without options before it"
        )
    return "".join(character for character in lines[0] if character.isprintable())


def parse_pinned(text: str) -> HostKey:
    """`--host-key`: type and key. Raises ControllerError."""
    key = parse_host_key(text)
    if key is None:
        raise ControllerError(
            "this is not the public part of an SSH host key",
            "copy the line of /etc/ssh/ssh_host_ed25519_key.pub on the machine: `ssh-ed25519 AAAA…`",
        )
    return key


def parse_fingerprint(text: str) -> str:
    """`--accept`: as `ssh-keygen -lf` prints it. Raises ControllerError."""
    found = text.strip().rstrip("=")
    if not _FINGERPRINT.fullmatch(found):
        raise ControllerError(
            f"`{text[:80]}` is not a fingerprint",
            "write it as `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints it on the machine: `SHA256:…`",
        )
    return found


def offered_key(new: NewMachine, machine: Machine) -> HostKey:
    """The key that the machine shows: nobody has vouched for it. Raises WorkerUnreachable."""
    key = parse_host_key(new.offered_key(machine.target(None)))
    if key is None:
        raise ControllerError(f"{machine.host} shows a host key that can't be read", "look at its sshd")
    return key


def require_same(machine: Machine, offered: HostKey, fingerprint: str) -> None:
    """Raises ControllerError for another key than the one that was accepted beforehand."""
    if offered.fingerprint != fingerprint:
        raise ControllerError(
            f"{machine.host} shows another host key than --accept says, so nothing was sent\n"
            f"expected {fingerprint}\noffered  {offered.fingerprint} ({offered.kind})",
            f"{check_command(offered)} on the machine itself says which is right; if it is the expected one, somebody "
            "may be answering in its place",
        )


def check_command(key: HostKey) -> str:
    kind = key.kind.removeprefix("ssh-").split("-")[0]
    return f"`ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub`"


def look(new: NewMachine, machine: Machine, key: HostKey, wish: Wish) -> Prepared:
    """What is there, and what would be done; nothing is changed. Raises WorkerError or ControllerError."""
    return _checked(machine, new.run(machine.target(key), "inspect", wish))


def prepare(new: NewMachine, machine: Machine, key: HostKey, wish: Wish) -> Prepared:
    """Do what is missing. Raises WorkerError or ControllerError, which says what was done before it failed."""
    return _checked(machine, new.run(machine.target(key), "prepare", wish))


def _checked(machine: Machine, found: Prepared) -> Prepared:
    if found.error:
        done = "".join(f"\ndone before that: {what}" for what in found.changed) or "\nnothing was changed before that"
        raise ControllerError(
            f"{machine.host} could not be prepared: {found.error}{done}",
            "put that right, then run the same again: it goes on from there",
        )
    return found


def log_in(settings: SshSettings, machine: Machine, key: HostKey, user: str) -> tuple[str, ...]:
    """What keeps the machine from being a worker, asked as gitopsd will ask; nothing when all is well."""
    target = Target(name=machine.host, address=machine.host, user=user, port=machine.port, host_key=key.line)
    with Workers(settings) as workers, workers.connect(target) as connection:
        return verbs.probe(connection).problems


def is_not_let_in(error: WorkerError) -> bool:
    return isinstance(error, WorkerUnreachable) and error.stage == "auth"


def fleet_line(machine: Machine, found: Prepared, key: HostKey, user: str) -> str:
    """The worker for a fleet file, on one line, indented as it stands below `workers:`."""
    parts = [f"address: {_scalar(machine.host)}"]
    if machine.port not in (None, 22):
        parts.append(f"port: {machine.port}")
    parts += [f"user: {_scalar(user)}", f'host_key: "{key.line}"']
    return f"      {_worker_name(found.hostname, machine.host)}: {{{', '.join(parts)}}}"


def _worker_name(hostname: str, host: str) -> str:
    for text in (hostname.partition(".")[0], host):
        name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")
        if re.match(NAME_PATTERN, name) and name not in {"localhost", *_WORDS_OF_YAML}:
            return name if re.search(r"[a-z]", name) and not re.fullmatch(r"[0-9]+e[0-9]+", name) else f"worker-{name}"
    return "worker-1"


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML else f'"{text}"'
