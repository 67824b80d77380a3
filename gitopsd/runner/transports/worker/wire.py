from __future__ import annotations

import struct

PROTOCOL = "gitopsd-channel/1"
HEADER = struct.Struct(">IQ")
ACKNOWLEDGEMENT = struct.Struct(">Q")
GREETING_BYTES = 1024
GREETING_SECONDS = 5.0
BUFFER_BYTES = 1024 * 1024


class ProtocolError(Exception):
    """The other side doesn't keep to the protocol; its connection is closed, everything else goes on."""
