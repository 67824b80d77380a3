"""The systemd unit of a job.

Its text depends on the kind, the readiness, the unit settings and the directories only: files and arguments of a job
can change without it, so that such a deployment needs no `daemon-reload`.
"""

from collections.abc import Mapping, Sequence

ROOT = "/var/lib/gitopsd"
JOB_USER = "gitopsd-job"

SETTINGS = frozenset(
    {
        "CPUQuota", "CPUWeight", "IOWeight", "LimitNOFILE", "LimitNPROC", "MemoryDenyWriteExecute", "MemoryHigh", "MemoryMax", "MemorySwapMax", "Nice",
        "PrivateDevices", "PrivateNetwork", "PrivateTmp", "ProtectHome", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths",
        "RestartSec", "SupplementaryGroups", "TasksMax", "TimeoutStartSec", "TimeoutStopSec", "UMask",
    }
)  # fmt: skip
"""Unit settings that a blueprint may set; everything else is fixed here."""

_HARDENING = {
    "CapabilityBoundingSet": "",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateTmp": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHome": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectProc": "invisible",
    "ProtectSystem": "strict",
    "RemoveIPC": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "SystemCallArchitectures": "native",
    "SystemCallFilter": "@system-service",
    "UMask": "0027",
}


class UnitValueError(ValueError):
    """A setting that can't be written into a unit; the message says why."""


def unit_name(job: str) -> str:
    return f"gitopsd-{job}.service"


def unit_text(
    job: str, *, kind: str, notifies: bool, directories: Sequence[str], settings: Mapping[str, str | int | bool]
) -> str:
    """The unit file. Raises UnitValueError for a setting that isn't allowed or can't be written."""
    service: dict[str, str] = {
        "ExecStart": f"/usr/bin/python3 -IB {ROOT}/current/runtime/launch.py {job}",
        "Type": "oneshot" if kind == "once" else "notify" if notifies else "exec",
        "User": JOB_USER,
        "StateDirectory": f"gitopsd/state/{job}",
        "RuntimeDirectory": "gitopsd/s",
        "RuntimeDirectoryPreserve": "yes",
        "TimeoutStopSec": "20s",
        **_HARDENING,
    }
    if kind != "once":
        service |= {"Restart": "always", "RestartSec": "2s", "TimeoutStartSec": "60s"}
    else:
        service |= {"Restart": "on-failure", "RestartSec": "5s", "RemainAfterExit": "yes", "TimeoutStartSec": "infinity"}
    if notifies and kind != "once":
        service["NotifyAccess"] = "main"
    if directories:
        service["ReadWritePaths"] = " ".join(escape_path(path) for path in directories)
    for name, value in settings.items():
        if name not in SETTINGS:
            raise UnitValueError(f"the unit setting `{name}` is not among those that a blueprint may set")
        text = escape(value)
        service[name] = f"{service[name]} {text}" if name == "ReadWritePaths" and name in service else text
    # without a start limit: a job whose peer is away for an hour must still come up by itself
    unit = {"Description": f"gitopsd job {job}", "After": "network.target", "StartLimitIntervalSec": "0"}
    if kind == "once":
        unit["ConditionPathExists"] = f"!{ROOT}/state/{job}/completed"
    if directories:
        unit["RequiresMountsFor"] = " ".join(escape_path(path) for path in directories)
    sections = {"Unit": unit, "Service": dict(sorted(service.items())), "Install": {"WantedBy": "multi-user.target"}}
    return "\n".join(
        "".join([f"[{section}]\n", *(f"{key}={value}\n" for key, value in entries.items())])
        for section, entries in sections.items()
    )


def escape(value: str | int | bool) -> str:
    """A value of a unit setting: one line, specifiers (`%`) taken literally."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if not text.isprintable():
        raise UnitValueError("a unit setting must be one line of printable text")
    if text.endswith("\\"):
        raise UnitValueError("a unit setting can't end in a backslash")
    return text.replace("%", "%%")


def escape_path(path: str) -> str:
    """A path in a list of paths: quoted where it holds white space, quotes or backslashes."""
    text = escape(path)
    if any(character in text for character in " \t\"'\\"):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
