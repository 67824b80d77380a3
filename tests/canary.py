"""Looking for a value where it must not be: Git objects, processes, files."""

import secrets
import subprocess
from pathlib import Path

# another one in each process: tests that run at once on this machine see each other's processes
CANARY = f"canary-{secrets.token_hex(5)}"


def repository_holds(folder: Path, text: str) -> bool:
    """Whether any object of the repository, reachable or not, loose or packed, has the text."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch", "--unordered"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True, timeout=60)
    assert b"workflow: " in done.stdout, "the search reads the objects' content"
    return text.encode() in done.stdout


def processes_with(text: str) -> list[str]:
    """The command lines of processes that have the text in their arguments or environment."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                arguments = (process / "cmdline").read_bytes()
                environment = (process / "environ").read_bytes()
            except OSError:
                continue
            if text.encode() in arguments + environment:
                found.append(arguments.replace(b"\0", b" ").decode(errors="replace"))
    return found


def readable_files_with(text: str, folder: Path) -> list[tuple[Path, int]]:
    """The files below a folder that have the text, by path, with their modes."""
    return [
        (path, path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes()
    ]
