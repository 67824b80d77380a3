"""The scripts that Git runs: a few lines that call this gitopsd by its absolute path.

Nothing of a repository or a push goes through the shell but the lines that Git writes to the hook's stdin, unread.
"""

import shlex
import sys

from gitopsd.daemon.hooks.settings import REJECTED, Hook, HookSettings

_MARK = "# gitopsd hook: made by `gitopsd hook install`, taken away by `gitopsd hook remove`; edits are lost"

_PRE_RECEIVE = """\
#!/bin/sh
{mark}
{command}
code=$?
# 0 lets the push through, {rejected} rejects it, 130 is Ctrl-C; whatever else it is, gitopsd could not be run
case $code in
0) exit 0 ;;
{rejected} | 130) exit 1 ;;
esac
echo "gitopsd can't be run here (exit code $code): this push is not judged, and {consequence}" >&2
exit {code}
"""

_POST_RECEIVE = """\
#!/bin/sh
{mark}
exec {command}
"""


def hook_command(hook: Hook, settings: HookSettings) -> list[str]:
    """What the script calls; another hook may call it too, with the same stdin."""
    configuration = ["--config", str(settings.configuration)] if settings.configuration else []
    # -P: the folder that Git runs hooks in must be no place to import from
    return [sys.executable, "-P", "-m", "gitopsd", *configuration, "hook", "run", hook, *settings.options()]


def hook_script(hook: Hook, settings: HookSettings) -> str:
    rejects = settings.enforces and settings.strict
    return (_PRE_RECEIVE if hook == "pre-receive" else _POST_RECEIVE).format(
        mark=_MARK,
        command=shlex.join(hook_command(hook, settings)),
        rejected=REJECTED,
        consequence="is rejected" if rejects else "is let through",
        code=int(rejects),
    )


def is_ours(script: bytes) -> bool:
    """Whether gitopsd wrote it, in this version or another."""
    return script.startswith(b"#!/bin/sh\n# gitopsd hook: ")
