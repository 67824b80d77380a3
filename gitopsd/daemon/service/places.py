"""Where the parts of the service are on a machine."""

from importlib.resources import files
from pathlib import Path

NAME = "gitopsd.service"
ACCOUNT = "gitopsd-controller"
"""Not `gitopsd`, which `worker bootstrap` makes on workers and which is root there; one machine may be both."""

UNIT = Path("/etc/systemd/system") / NAME
DROP_IN = Path(f"{UNIT}.d") / "10-installed.conf"
CONFIGURATION_FOLDER = Path("/etc/gitopsd")
CREDENTIALS = CONFIGURATION_FOLDER / "credentials"
HOME = Path("/var/lib/gitopsd-controller")
HIDDEN = (Path("/home"), Path("/root"), Path("/run/user"), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - not used
"""What the service does not see: ProtectHome= and PrivateTmp= of the unit."""


def shipped(name: str) -> Path:
    """A file of the folder `systemd`: beside the modules in an installed package, beside the package in a checkout."""
    package = Path(str(files("gitopsd")))
    installed = package / "systemd"
    return (installed if installed.is_dir() else package.parent / "systemd") / name


def is_hidden(path: Path) -> bool:
    """Whether the service can't see what is at that path."""
    return any(path.is_relative_to(folder) for folder in HIDDEN)
