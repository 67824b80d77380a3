from __future__ import annotations

from typing import NamedTuple

from gitopsd.runner.roles.read_files.followed import FollowedFile, Head, Identity


class Position(NamedTuple):
    """How far a file was acknowledged, in bytes."""

    path: str
    offset: int
    head: Head


class Positions:
    """How far every file was acknowledged, by inode, so that a renamed file isn't read twice.

    An inode alone doesn't make a file the same one: its first bytes must be too, and its path or its device (device
    numbers may change with a reboot).
    """

    def __init__(self) -> None:
        self._known: dict[Identity, Position] = {}
        self._loaded: dict[str, Identity] = {}

    def items(self) -> list[tuple[Identity, Position]]:
        return list(self._known.items())

    def set(self, identity: Identity, position: Position) -> None:
        self._known[identity] = position

    def forget(self, identity: Identity) -> None:
        self._known.pop(identity, None)

    def find(self, file: FollowedFile) -> Position | None:
        exact = self._known.get(file.identity)
        if exact is not None and file.begins_with(exact.head):
            return exact
        identity = self._loaded.get(file.path)
        if identity is not None and identity.inode == file.identity.inode:
            position = self._known.get(identity)
            if position is not None and file.begins_with(position.head):
                return position
        return None

    def dump(self) -> dict[str, object]:
        return {
            "files": [
                {"device": identity.device, "inode": identity.inode, **position._asdict()}
                for identity, position in sorted(self._known.items())
            ]
        }

    @classmethod
    def parse(cls, content: dict[str, object]) -> Positions:
        """Read what `dump` gave, after JSON. Raises ValueError."""
        positions = cls()
        files = content.get("files")
        if not isinstance(files, list):
            raise ValueError("`files` is missing")  # noqa: TRY004 -- the content is wrong, not the call
        try:
            for entry in files:
                identity = Identity(int(entry["device"]), int(entry["inode"]))
                head = Head(int(entry["head"][0]), int(entry["head"][1]))
                positions.set(identity, Position(str(entry["path"]), int(entry["offset"]), head))
                positions._loaded[str(entry["path"])] = identity
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"an entry is incomplete: {error!r}") from error
        return positions
