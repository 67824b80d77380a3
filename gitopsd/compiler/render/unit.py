"""The systemd unit of a job.

Its text depends on the kind, the readiness, the unit settings and the directories only: files and arguments of a job
can change without it, so that such a deployment needs no `daemon-reload`. A scheduled job has a timer besides, and is
started by nothing else. What a message starts runs below a service that waits for it (docs/reference/messages.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gitopsd.compiler.render.unit_settings import setting_text, user_of
from gitopsd.model.policy import DEFAULT_USER

ROOT = "/var/lib/gitopsd"
SOCKETS = "/run/gitopsd/s"

_HARDENING = {
    "CapabilityBoundingSet": "",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
    "NoNewPrivileges": "yes",
    "PrivateDevices": "yes",
    "PrivateMounts": "yes",
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
    # what is left out below fails as it does without privileges, rather than end the program
    "SystemCallErrorNumber": "EPERM",
    "SystemCallFilter": "@system-service",
    "UMask": "0027",
}

_DENIED_CALLS = "~@privileged @resources"
"""Taken from `@system-service` again; a job that was given capabilities may need them."""

_CALLS = "SystemCallFilter"

_LIMITS = {
    # a core would hold the values of secrets
    "LimitCORE": "0",
    "LimitNOFILE": "65536:524288",
    # one job must leave room for sshd, the agent and the others
    "MemoryMax": "75%",
    "OOMScoreAdjust": "200",
    "TasksMax": "1024",
}

_ONCE = {
    "RemainAfterExit": "yes",
    "Restart": "on-failure",
    "RestartSec": "5s",
    # not `oneshot`: a machine that boots would count as starting for as long as it runs, and hold up other units
    "Type": "exec",
}

_OF_SERVICES = {*_ONCE, "ExecReload", "NotifyAccess"}
"""Settings of a service that one which drains has another way, or not at all."""

_CAPABILITIES = {"AmbientCapabilities", "CapabilityBoundingSet"}  # worth nothing in a user namespace


def unit_name(job: str) -> str:
    return f"gitopsd-{job}.service"


def timer_name(job: str) -> str:
    return f"gitopsd-{job}.timer"


def timer_text(job: str, calendar: str) -> str:
    """The timer of a scheduled job. `calendar` has been checked (compiler/calendar.py)."""
    return _unit_file({
        "Unit": [("Description", f"schedule of gitopsd job {job}")],
        "Timer": [
            ("AccuracySec", "1s"),  # systemd's own default is a minute
            ("OnCalendar", calendar),
            ("Persistent", "yes"),  # a run that was missed while the worker was off is made up for
        ],
        "Install": [("WantedBy", "timers.target")],
    })  # fmt: skip


def unit_text(
    job: str,
    *,
    kind: str,
    notifies: bool,
    directories: Sequence[str],
    settings: Mapping[str, Any],
    on_change: str = "restart",
    secrets: Sequence[str] = (),
) -> str:
    """The unit file. Raises UnitValueError for a setting that isn't allowed or can't be written."""
    is_service = kind in {"service", "message"}
    service: dict[str, str] = {
        "ExecStart": f"/usr/bin/python3 -IB {ROOT}/current/runtime/launch.py {job}",
        "Type": "notify" if is_service and notifies else "exec",
        "User": DEFAULT_USER,
        "StateDirectory": f"gitopsd/state/{job}",
        "RuntimeDirectory": "gitopsd/s",
        "RuntimeDirectoryMode": "2770",  # sockets are for the group of all jobs, whoever makes them
        "RuntimeDirectoryPreserve": "yes",
        # a filter must not be ended together with the runner, which has yet to drain it
        "KillMode": "mixed",
        "TimeoutStopSec": "20s",
        **_HARDENING,
        **_LIMITS,
    }
    if is_service:
        service |= {"Restart": "always", "RestartSec": "2s", "TimeoutStartSec": "60s"}
    elif kind == "once":
        service |= _ONCE
    else:  # a timer starts it again once it has ended
        service |= {"Type": "oneshot", "TimeoutStartSec": "infinity"}
    if on_change == "reload":
        service["ExecReload"] = "/bin/kill -HUP $MAINPID"
    if notifies and is_service:
        service["NotifyAccess"] = "main"
    has_capabilities = bool(_CAPABILITIES & settings.keys())
    if secrets and not has_capabilities:
        # jobs share an account: without a user namespace another one could read these in /proc/PID/root
        service["PrivateUsers"] = "yes"
    if directories:
        service["ReadWritePaths"] = path_list(directories)
    calls = [(name, setting_text(name, value)) for name, value in settings.items() if name == _CALLS]
    service = _with_settings(service, {name: value for name, value in settings.items() if name != _CALLS})
    # without a start limit: a job whose peer is away for an hour must still come up by itself
    unit = {"Description": f"gitopsd job {job}", "After": "network.target", "StartLimitIntervalSec": "0"}
    if kind == "once":
        unit["ConditionPathExists"] = f"!{ROOT}/state/{job}/completed"
    if directories:
        unit["RequiresMountsFor"] = path_list(directories)
    denied = [] if has_capabilities else [(_CALLS, _DENIED_CALLS)]
    # the path stays the same whatever the value is: another value is no other unit
    credentials = [("LoadCredential", f"{name}:{ROOT}/credentials/current/{job}/{name}") for name in secrets]
    sections = {
        "Unit": list(unit.items()),
        "Service": [*sorted([*service.items(), *credentials, *denied]), *calls],  # what is added comes last
    }
    if kind != "schedule":
        sections["Install"] = [("WantedBy", "multi-user.target")]
    return _unit_file(sections)


def draining_text(job: str, text: str) -> str:
    """The unit file of a service that is to end by itself: started until it has ended well, and then never again."""
    kept = [line for line in text.splitlines() if line.partition("=")[0] not in _OF_SERVICES]
    lines: list[str] = []
    for line in kept:
        lines.append(line)
        if line == "[Unit]":
            lines.append(f"ConditionPathExists=!{ROOT}/state/{job}/completed")
        if line == "[Service]":
            lines += [f"{name}={value}" for name, value in _ONCE.items()]
    return "\n".join(lines) + "\n"


def _unit_file(sections: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    return "\n".join(
        "".join([f"[{section}]\n", *(f"{key}={value}\n" for key, value in entries)])
        for section, entries in sections.items()
    )


def _with_settings(service: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, str]:
    given = {name: setting_text(name, value) for name, value in settings.items()}
    added = {"ReadWritePaths": [service.get("ReadWritePaths", ""), given.get("ReadWritePaths", "")]}
    kept = dict(service)
    if user_of(settings) != DEFAULT_USER:
        # systemd would hand the directory, and every job's sockets in it, to the user of the unit that starts last
        for name in ("RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve"):
            del kept[name]
        kept["ExecStartPre"] = f"+/usr/bin/install -d -o {DEFAULT_USER} -g {DEFAULT_USER} -m 2770 {SOCKETS}"
        added["ReadWritePaths"].append(f"-{SOCKETS}")
        added["SupplementaryGroups"] = [DEFAULT_USER, given.get("SupplementaryGroups", "")]
    lists = {name: " ".join(filter(None, values)) for name, values in added.items()}
    return {**kept, **given, **{name: text for name, text in lists.items() if text}}


def path_list(paths: Sequence[str]) -> str:
    """Absolute paths for a setting that takes several. They hold no quotes, backslashes or unprintable characters."""
    texts = (path.replace("%", "%%") for path in paths)
    return " ".join(f'"{text}"' if " " in text else text for text in texts)
