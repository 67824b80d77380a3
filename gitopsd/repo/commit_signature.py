"""Where a commit's signature is in its bytes, as `git commit -S` puts it there. Pure."""

from dataclasses import dataclass

_HEADER = b"gpgsig "
_SSH = b"-----BEGIN SSH SIGNATURE-----"
_LARGEST = 64 << 10  # bytes: one by an RSA key with a certificate has some 5,000


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCommit:
    """`payload` is what was signed. `signature` is armored; empty where there is none."""

    payload: bytes
    signature: bytes

    @property
    def is_by_ssh(self) -> bool:
        return self.signature.startswith(_SSH)


def split_signature(commit: bytes) -> SignedCommit:
    """Raises ValueError for a commit with more than one signature, or a huge one: nobody knows what it says then."""
    headers, separator, message = commit.partition(b"\n\n")
    kept: list[bytes] = []
    signature: list[bytes] = []
    inside = False
    for line in headers.split(b"\n"):
        if line.startswith(_HEADER):
            if signature:
                raise ValueError("it has more than one signature")
            inside = True
            signature.append(line.removeprefix(_HEADER))
        elif inside and line.startswith(b" "):
            signature.append(line[1:])
        else:
            inside = False
            kept.append(line)
    text = b"\n".join(signature)
    if len(text) > _LARGEST:
        raise ValueError(f"its signature has {len(text):,} bytes")
    return SignedCommit(payload=b"\n".join(kept) + separator + message, signature=text + b"\n" if text else b"")


def with_signature(commit: bytes, signature: bytes) -> bytes:
    """The commit with an armored signature of it."""
    headers, separator, message = commit.partition(b"\n\n")
    folded = b"\n ".join(signature.strip(b"\n").split(b"\n"))
    return headers + b"\n" + _HEADER + folded + separator + message
