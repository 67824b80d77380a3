"""Folders that only their user can write to, so that what lies in them may be trusted."""

import os
import stat
from pathlib import Path

from gitopsd.repo.errors import RepositoryError


def make_private_folder(folder: Path, *, way_out: str) -> None:
    """Make the folder for this user alone, or see that it is. `way_out`: what else can be done than removing it.

    Raises RepositoryError as `check_private_folder` does, and where others could put another one in its place.
    """
    _check_above(folder, way_out)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        pass  # a file, or a link that leads nowhere: refused below
    except OSError as error:
        raise RepositoryError(f"the folder {folder} cannot be made: {error.strerror}", way_out) from None
    check_private_folder(folder, way_out=way_out)


def check_private_folder(folder: Path, *, way_out: str) -> None:
    """See that the folder is this user's, and nobody else's to write to; reading it is taken from others.

    Raises RepositoryError for a link, or a folder that somebody else has, or could have changed: what is in it may be
    theirs, so closing it now would not help.
    """
    hint = f"see what is in {folder} and remove it, or {way_out}"
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError:  # Linux says so for a link too
        raise RepositoryError(f"{folder} is a link or a file, and not a folder", hint) from None
    except OSError as error:
        raise RepositoryError(f"the folder {folder} cannot be opened: {error.strerror}", hint) from None
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise RepositoryError(f"{folder} belongs to another user (uid {status.st_uid}) and isn't used", hint)
        if status.st_mode & 0o022:
            raise RepositoryError(
                f"{folder} can be written to by other users (mode {stat.S_IMODE(status.st_mode):04o}) and isn't used",
                hint,
            )
        if status.st_mode & 0o077:
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def _check_above(folder: Path, way_out: str) -> None:
    """Whoever has the folder above could swap ours at any time; and root, with somebody's HOME, would spoil theirs."""
    above = next(one for one in folder.parents if one.exists())
    status = above.stat()
    if status.st_uid not in {os.geteuid(), 0}:
        raise RepositoryError(f"{above} belongs to another user (uid {status.st_uid}): {folder} isn't used", way_out)
    if status.st_mode & 0o002 and not status.st_mode & stat.S_ISVTX:
        raise RepositoryError(f"{above} can be written to by everybody: {folder} isn't used", way_out)
