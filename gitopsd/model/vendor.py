"""`modules/vendor/lock.json`: which libraries were copied from other repositories, and what they are."""

from typing import Annotated

from msgspec import Meta, Struct, field

from gitopsd.model.names import END, Name

VENDOR_FOLDER = "modules/vendor/"
LOCK_FILE = f"{VENDOR_FOLDER}lock.json"
LOCK_FORMAT = 1

ObjectId = Annotated[str, Meta(pattern=f"^[0-9a-f]{{40}}{END}")]


class VendoredLibrary(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One library: where it is from, what was asked for there, and the Git tree id of what was copied.

    `url` never holds credentials; a relative path starts at the root of the repository that has the lock.
    """

    url: str
    ref: str
    commit: ObjectId
    paths: tuple[str, ...]
    tree: ObjectId


class VendorLock(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Libraries by the name of their folder below `modules/vendor/`."""

    format: int = LOCK_FORMAT
    libraries: dict[Name, VendoredLibrary] = field(default_factory=dict)


def library_folder(name: str) -> str:
    return f"{VENDOR_FOLDER}{name}/"
