"""A filter and two sets from a file to a file: `std/transform` beside jq, a Python loop, rsyslog and syslog-ng.

Each way's output is compared with the events that are expected, as values, since not all keep the order of fields.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import runner
from benchmarks.runner import Cost, ended, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

ACTIONS = [
    {"filter": "cents >= `10000`"},
    {"set": {"place": "customer.country"}},
    {"set": {"kind": "'order'"}},
]
JQ = 'select(.cents >= 10000) | .place = .customer.country | .kind = "order"'
LOOP = """
import json, sys
for line in sys.stdin:
    event = json.loads(line)
    if event["cents"] >= 10000:
        event["place"] = event["customer"]["country"]
        event["kind"] = "order"
        sys.stdout.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\\n")
"""
RSYSLOG = """
global(workDirectory="{work}" maxMessageSize="64k")
module(load="imfile")
module(load="mmjsonparse")
main_queue(queue.type="LinkedList" queue.size="100000" queue.dequeueBatchSize="1024")
template(name="event" type="list") {{ property(name="$!") constant(value="\\n") }}
ruleset(name="shape") {{
  action(type="mmjsonparse" cookie="")
  if $!cents >= 10000 then {{
    set $!place = $!customer!country;
    set $!kind = "order";
    action(type="omfile" file="{target}" template="event" ioBufferSize="256k" asyncWriting="off" flushOnTXEnd="on")
  }}
}}
input(type="imfile" file="{source}" tag="b" ruleset="shape")
"""
SYSLOG_NG = """
@version: 3.38
options {{ stats-freq(0); }};
source s {{ file("{source}" follow-freq(0.1) flags(no-parse) log-fetch-limit(10000) log-iw-size(100000)); }};
log {{
  source(s);
  parser {{ json-parser(prefix(".j.")); }};
  filter {{ "${{.j.cents}}" >= 10000 }};
  rewrite {{ set("${{.j.customer.country}}", value(".j.place")); set("order", value(".j.kind")); }};
  destination {{
    file("{target}" template("$(format-json --key .j.* --shift-levels 2)\\n") flush-lines(1000) log-fifo-size(1000000));
  }};
  flags(flow-control);
}};
"""


def show(source: Path, events: int, directory: Path) -> None:
    expected = directory / "expected.jsonl"
    with expected.open("wb") as out, source.open("rb") as into:
        subprocess.run([sys.executable, "-c", LOOP], stdin=into, stdout=out, check=True)
    size = source.stat().st_size
    print(f"{'a filter and two sets':<50} {'events/s':>11} {'MB/s':>7} {'wall s':>7} {'CPU s':>7} {'peak MB':>8}")
    for way, run in _ways(source, expected, directory):
        cost = run()
        print(
            f"{way:<50} {events / cost.seconds:>11,.0f} {size / 1e6 / cost.seconds:>7.0f} {cost.seconds:>7.2f}"
            f" {cost.cpu_seconds:>7.2f} {cost.peak_bytes / 1e6:>8.0f}",
            flush=True,
        )
    for name in ("jq", "rsyslogd", "syslog-ng"):
        if shutil.which(name) is None:
            print(f"{name}: not on this machine")
    print()


def _ways(source: Path, expected: Path, directory: Path) -> list[tuple[str, Callable[[], Cost]]]:
    ways: list[tuple[str, Callable[[], Cost]]] = []
    if shutil.which("jq"):
        ways.append(("jq -c, in > out", partial(filtered, ["jq", "-c", JQ], source, expected, directory)))
    loop = [sys.executable, "-c", LOOP]
    ways += [
        ("Python loop, in > out", partial(filtered, loop, source, expected, directory)),
        ("std/transform by itself, blocks in > out", partial(alone, source, expected, directory)),
        (
            "read-files, worker, transform, worker, write-files",
            partial(runner.jobs, "worker", {"actions": ACTIONS}, source, directory, expected=expected),
        ),
    ]
    if shutil.which("rsyslogd"):
        ways.append(("rsyslog, file to file", partial(daemon, _rsyslog, source, expected, directory)))
    if shutil.which("syslog-ng"):
        ways.append(("syslog-ng, file to file", partial(daemon, _syslog_ng, source, expected, directory)))
    return ways


def alone(source: Path, expected: Path, directory: Path) -> Cost:
    """The role's engine over blocks as channels bring them: what is left when jobs and hops are taken away."""
    return filtered([sys.executable, "-m", "benchmarks.dataplane_transform"], source, expected, directory)


def filtered(command: list[str], source: Path, expected: Path, directory: Path) -> Cost:
    target = directory / "out.jsonl"
    began = time.perf_counter()
    with target.open("wb") as out, source.open("rb") as into:
        process = subprocess.Popen(command, stdin=into, stdout=out, cwd=Path(__file__).parents[1])
        usage = ended(process)
        os.fsync(out.fileno())
    seconds = time.perf_counter() - began
    compare(expected, target)
    target.unlink()
    return Cost(seconds=seconds, cpu_seconds=usage.ru_utime + usage.ru_stime, peak_bytes=usage.ru_maxrss * 1024)


def daemon(command: Callable[[Path, Path, Path], list[str]], source: Path, expected: Path, directory: Path) -> Cost:
    """A program that follows a file: its time ends with the last line that it wrote."""
    work = Path(tempfile.mkdtemp(dir=directory))
    target = work / "out.jsonl"
    wanted = _lines(expected, 0)[0]
    began = time.perf_counter()
    process = subprocess.Popen(command(source, target, work))
    written = offset = 0

    def is_done() -> bool:
        nonlocal written, offset
        if target.exists():
            more, offset = _lines(target, offset)
            written += more
        return written >= wanted

    try:
        wait_for(is_done)
        seconds = time.perf_counter() - began
        process.send_signal(signal.SIGTERM)
        usage = ended(process)
    finally:
        if process.returncode is None:
            process.kill()
    compare(expected, target)
    shutil.rmtree(work)
    return Cost(seconds=seconds, cpu_seconds=usage.ru_utime + usage.ru_stime, peak_bytes=usage.ru_maxrss * 1024)


def _rsyslog(source: Path, target: Path, work: Path) -> list[str]:
    configuration = work / "rsyslog.conf"
    configuration.write_text(RSYSLOG.format(source=source, target=target, work=work))
    return ["rsyslogd", "-n", "-f", str(configuration), "-i", str(work / "pid")]


def _syslog_ng(source: Path, target: Path, work: Path) -> list[str]:
    configuration = work / "syslog-ng.conf"
    configuration.write_text(SYSLOG_NG.format(source=source, target=target))
    files = {"-f": configuration, "-R": work / "state", "-p": work / "pid", "-c": work / "control"}
    return ["syslog-ng", "-F", "--no-caps", *[word for key, path in files.items() for word in (key, str(path))]]


def _lines(path: Path, offset: int) -> tuple[int, int]:
    """How many lines end behind an offset, and where the file ends now."""
    count = 0
    with path.open("rb") as file:
        file.seek(offset)
        while block := file.read(1 << 20):
            count += block.count(b"\n")
            offset += len(block)
    return count, offset


def compare(expected: Path, target: Path) -> None:
    """Raises AssertionError unless both hold the same events in the same order; of many only each hundredth is read."""
    with expected.open("rb") as left, target.open("rb") as right:
        for number, (wanted, found) in enumerate(zip(left, right, strict=True)):
            if number % 100 == 0 and wanted != found:
                known, shown = json.loads(wanted), json.loads(found)
                # syslog-ng keeps numbers as text
                assert str(known["cents"]) == str(shown["cents"]), f"{target} differs in line {number + 1}"
                assert (known["place"], known["kind"]) == (shown["place"], shown["kind"]), f"{target}: {shown}"


def _filter_standard_input() -> None:
    from gitopsd.runner.lines import BLOCK_BYTES, whole_lines
    from gitopsd.runner.roles.transform.engine import Engine
    from gitopsd.runner.settings import Settings

    engine = Engine([Settings(action, f"actions[{at}]") for at, action in enumerate(ACTIONS)])
    rest = b""
    while block := sys.stdin.buffer.read(BLOCK_BYTES):
        data = rest + block
        end = whole_lines(data)
        rest = data[end:]
        if end:
            sys.stdout.buffer.write(engine.apply(data[:end]).kept)


if __name__ == "__main__":
    _filter_standard_input()
