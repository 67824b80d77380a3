from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, TypeVar

from gitopsd.runner.errors import JobError
from gitopsd.runner.polling import Backoff
from gitopsd.runner.transports.object_store.client import Client, make_client
from gitopsd.runner.transports.object_store.faults import ERRORS, Fault, fault_of
from gitopsd.runner.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gitopsd.runner.report import Reporter
    from gitopsd.runner.settings import Settings

PATIENCE_SECONDS = 60.0
"""For how long a store that has worked may refuse: some do so while they start, and keys are exchanged."""

FIRST_ANSWER_SECONDS = 5.0
QUIET_SECONDS = 2.0
"""A failure that is over by then isn't worth a line."""

PAGE = 1000

_Result = TypeVar("_Result")


class Stored(NamedTuple):
    """`key` is without the channel's prefix; `etag` changes whenever the object does."""

    key: str
    etag: str
    modified: datetime


class Page(NamedTuple):
    objects: list[Stored]
    is_last: bool
    now: datetime
    """By the clock that `modified` is of."""


class Store:
    """The part of a bucket that belongs to one channel.

    Each method waits for a store that is away, however long, and raises JobError where waiting won't help.
    """

    def __init__(self, endpoint: Settings, reporter: Reporter) -> None:
        self._endpoint = endpoint
        self._bucket = endpoint.text("bucket")
        self._prefix = endpoint.text("prefix")
        self._client: Client | None = None
        self._worked: set[str] = set()
        self.waiting = Waiting(reporter, str(self), f"{self} at {self._where()} answers again")

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}"

    async def open(self) -> None:
        """Return when the store has answered once; one that is away is looked for again when it is needed."""
        self._client = await _in_thread(lambda: make_client(self._endpoint))
        try:
            await asyncio.wait_for(self.page("", limit=1), FIRST_ANSWER_SECONDS)
        except asyncio.TimeoutError:
            self.waiting.begin(f"waiting: {self._where()} doesn't answer yet", "list", seconds=FIRST_ANSWER_SECONDS)

    async def first(self, work: Coroutine[Any, Any, None]) -> asyncio.Future[None]:
        """Do what fails the job before it is ready if it is refused; where the store is away, it goes on beside it."""
        task = asyncio.ensure_future(work)
        await asyncio.wait({task}, timeout=FIRST_ANSWER_SECONDS)
        if task.done():
            task.result()
        return task

    async def page(self, folder: str, *, after: str = "", limit: int = PAGE) -> Page:
        """Objects whose keys begin with `folder` and come after `after`, in the order of their keys."""
        parameters = {"Bucket": self._bucket, "Prefix": self._prefix + folder, "MaxKeys": limit}
        if after:
            parameters["StartAfter"] = self._prefix + after
        answer = await self._do("list", folder, lambda client: client.list_objects_v2(**parameters))
        objects = [
            Stored(entry["Key"][len(self._prefix) :], entry["ETag"], entry["LastModified"])
            for entry in answer.get("Contents", [])
        ]
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        now = parsedate_to_datetime(date) if date else datetime.now(timezone.utc)
        return Page(objects, not answer["IsTruncated"], now)

    async def all(self, folder: str, *, after: str = "") -> list[Stored]:
        found: list[Stored] = []
        while True:
            page = await self.page(folder, after=found[-1].key if found else after)
            found += page.objects
            if page.is_last or not page.objects:
                return found

    async def get(self, key: str) -> bytes | None:
        """None where there is no such object."""
        full = self._prefix + key

        def read(client: Client) -> bytes:
            return bytes(client.get_object(Bucket=self._bucket, Key=full)["Body"].read())

        try:
            return await self._do("get", key, read)
        except _MissingError:
            return None

    async def put(self, key: str, content: bytes) -> None:
        full = self._prefix + key
        await self._do("put", key, lambda client: client.put_object(Bucket=self._bucket, Key=full, Body=content))

    async def delete(self, key: str) -> None:
        """One by one: stores differ in which checksum they want where several are deleted at once."""
        full = self._prefix + key
        try:
            await self._do("delete", key, lambda client: client.delete_object(Bucket=self._bucket, Key=full))
        except _MissingError:
            return

    async def _do(self, doing: str, key: str, call: Callable[[Client], _Result]) -> _Result:
        client = self._client
        if client is None:
            raise AssertionError("opened first")
        loop = asyncio.get_running_loop()
        backoff = Backoff(first=0.1, last=10.0)
        since = loop.time()
        while True:
            try:
                result = await _in_thread(lambda: call(client))
            except ERRORS as error:
                fault = fault_of(error)
                if fault.missing:
                    self.waiting.end(doing)
                    raise _MissingError from error
                self._explain(doing, key, fault, loop.time() - since, error)
            else:
                self._worked.add(doing)
                self.waiting.end(doing)
                return result
            await asyncio.sleep(backoff.next())

    def _explain(self, doing: str, key: str, fault: Fault, seconds: float, error: Exception) -> None:
        """Raises JobError where waiting won't help."""
        what = f"cannot {doing} s3://{self._bucket}/{self._prefix}{key} at {self._where()}: {fault.message}"
        if fault.lasts and (doing not in self._worked or seconds > PATIENCE_SECONDS):
            raise JobError(f"{what}. Nothing is lost, the job carries on from here when it is started again") from error
        if seconds > QUIET_SECONDS or fault.lasts:
            self.waiting.begin(f"waiting: {what}", doing, seconds=seconds)

    def _where(self) -> str:
        return self._endpoint.text("endpoint", "") or "Amazon S3"


class _MissingError(Exception):
    """There is no such object."""


async def _in_thread(call: Callable[[], _Result]) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(None, call)
