"""Bare nats-py, as a process by itself: imports nothing of ours, so that its start costs what nats-py's does.

    python benchmarks/nats_bare.py in URL SOURCE MESSAGE-BYTES
    python benchmarks/nats_bare.py out URL TARGET SIZE early|late

`late` acknowledges what it fetched once it is fsynced; `early` at once, with one fsync in the end. MESSAGE-BYTES of 0
are an event a message.
"""

import asyncio
import os
import sys

import nats
from nats.js.errors import NotFoundError

UNDER_WAY_BYTES = 8 * 1024 * 1024
"""As ours."""


async def publish(url: str, source: str, message_bytes: str) -> None:
    size = int(message_bytes)
    client = await nats.connect(url)
    js = client.jetstream(publish_async_max_pending=UNDER_WAY_BYTES // size if size else 4000)
    await js.add_stream(name="bare", subjects=["bare"], retention="interest")
    await js.add_consumer("bare", durable_name="bare", ack_policy="explicit", max_ack_pending=4096)
    with open(source, "rb", buffering=0 if size else -1) as file:  # noqa: ASYNC230, PTH123 -- nothing else runs meanwhile
        offset = 0
        while lines := (_whole_lines(file.fileno(), offset, size) if size else file.readline()):
            offset += len(lines)
            await js.publish_async("bare", lines, headers={"Nats-Msg-Id": str(offset)})
    await js.publish_async_completed()
    await client.close()


def _whole_lines(fd: int, offset: int, size: int) -> bytes:
    data = os.pread(fd, size, offset)
    return data[: data.rfind(b"\n") + 1]


async def fetch(url: str, target: str, size: str, acknowledges: str) -> None:
    """Until so many bytes are there."""
    client = await nats.connect(url)
    js = client.jetstream()
    while True:
        try:
            await js.consumer_info("bare", "bare")
            break
        except NotFoundError:
            await asyncio.sleep(0.01)
    subscription = await js.pull_subscribe_bind("bare", "bare")
    left = int(size)
    with open(target, "wb", buffering=0) as file:  # noqa: ASYNC230, PTH123 -- nothing else runs meanwhile
        while left:
            messages = await subscription.fetch(256, timeout=10)
            for message in messages:
                file.write(message.data)
                left -= len(message.data)
                if acknowledges == "early":
                    await message.ack()
            if acknowledges == "late" or not left:
                os.fsync(file.fileno())
            if acknowledges == "late":
                for message in messages:
                    await message.ack()
    await client.close()


if __name__ == "__main__":
    asyncio.run(publish(*sys.argv[2:]) if sys.argv[1] == "in" else fetch(*sys.argv[2:]))
