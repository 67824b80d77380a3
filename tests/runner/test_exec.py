from __future__ import annotations

import shutil
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.runner.station import Log, events, numbers, until

if TYPE_CHECKING:
    from tests.runner.station import Process, Station
    from tests.runner.transports.kind import Transports


def filter_job(station: Station, channel: Transports, *command: str, ports: str = "in out") -> str:
    more: dict[str, Any] = {}
    if "in" in ports:
        more["inputs"] = [channel.input("filter")]
    if "out" in ports:
        more["outputs"] = [channel.output({"deliver": 1}, producer="o.filter.0")]
    return station.runner("o.filter.0", "exec", {"command": list(command)}, **more)


def feed(station: Station, channel: Transports) -> Process:
    return station.start(station.reads([channel.output({"filter": 1})]))


def test_events_go_through_a_filter(every_python: Station, worker: Transports) -> None:
    station = every_python
    station.put("a", events(100_000))
    job = filter_job(station, worker, "sed", "s/text/TEXT/")
    running = [station.start(job), station.start(station.writes([worker.input("deliver")]))]
    producer = feed(station, worker)
    assert producer.finish() == 0, producer.said()
    # sed holds back what it has not filled a block with until its input ends, which is when the job is stopped.
    assert running[0].stop() == 0, running[0].said()
    assert station.written() == events(100_000).replace(b"text", b"TEXT")
    assert running[1].stop() == 0


def test_stopping_reads_the_filter_to_its_end(station: Station, worker: Transports) -> None:
    """A filter that says everything at the end, and its last line without a newline."""
    station.put("a", events(1000))
    consumer = station.start(station.writes([worker.input("deliver")]))
    process = station.start(filter_job(station, worker, "awk", '{ n++ } END { printf "%d", n }'))
    assert feed(station, worker).finish() == 0
    assert process.stop() == 0, process.said()
    until(lambda: station.written() == b"1000\n", consumer)


def test_a_filter_that_crashes_fails_the_job_with_its_code_and_what_it_said(
    station: Station, worker: Transports
) -> None:
    station.put("a", b"1\n")
    process = station.start(
        filter_job(station, worker, "sh", "-c", "read line; echo first words >&2; echo last words >&2; exit 7")
    )
    producer = feed(station, worker)
    assert process.finish() == 7
    assert "o.filter.0: sh failed with exit code 7: first words last words" in process.said()
    producer.stop()


def test_a_filter_that_is_killed_fails_the_job(station: Station, worker: Transports) -> None:
    process = station.start(filter_job(station, worker, "sh", "-c", "kill -9 $$"))
    assert process.finish() == 128 + signal.SIGKILL
    assert "sh was ended by SIGKILL" in process.said()


def test_a_filter_that_ends_before_its_input_fails_the_job(station: Station, worker: Transports) -> None:
    process = station.start(filter_job(station, worker, "true"))
    assert process.finish() == 1
    assert "true ended by itself (exit code 0) while its input was still open" in process.said()


def test_a_command_that_is_not_there_fails_the_job(station: Station, worker: Transports) -> None:
    process = station.start(filter_job(station, worker, "no-such-program"))
    assert process.finish() == 1
    assert process.said() == (
        "o.filter.0: the command no-such-program was not found; install it on this worker, or correct it\n"
    )


def test_what_a_filter_has_not_read_comes_again(station: Station, worker: Transports) -> None:
    """The pipe to it takes more than it reads: that much must not be acknowledged."""
    station.put("a", events(1000))  # less than a pipe holds
    job = filter_job(station, worker, "sh", "-c", "read first; sleep 1; exit 1")
    process = station.start(job)
    producer = feed(station, worker)
    assert process.finish() == 1
    assert producer.poll() is None
    consumer = station.start(station.writes([worker.input("deliver")]))
    process = station.start(filter_job(station, worker, "cat"))
    assert producer.finish() == 0
    assert process.stop() == 0
    until(lambda: numbers(station.lines()) == list(range(1000)), consumer)


def test_a_program_without_input_is_a_source(station: Station, worker: Transports) -> None:
    consumer = station.start(station.writes([worker.input("deliver")]))
    process = station.start(filter_job(station, worker, "seq", "100000", ports="out"))
    assert process.finish() == 0, process.said()
    until(lambda: station.lines() == [b"%d" % n for n in range(1, 100_001)], consumer)


def test_a_program_without_input_is_stopped_by_a_signal(station: Station, worker: Transports) -> None:
    station.start(station.writes([worker.input("deliver")]))
    process = station.start(
        filter_job(
            station, worker, "sh", "-c", "trap 'echo 2; exit 0' TERM; echo 1; while :; do sleep 0.05; done", ports="out"
        )
    )
    until(lambda: station.written() == b"1\n", process)
    assert process.stop() == 0, process.said()
    until(lambda: station.written() == b"1\n2\n")


def test_a_program_without_output_is_a_sink(station: Station, worker: Transports) -> None:
    station.put("a", events(1000))
    target = station.root / "copy"
    process = station.start(filter_job(station, worker, "sh", "-c", f"cat > {target}", ports="in"))
    assert feed(station, worker).finish() == 0
    assert process.stop() == 0
    assert target.read_bytes() == events(1000)


def test_a_filter_that_does_not_end_is_ended_by_force(station: Station, worker: Transports) -> None:
    process = station.start(filter_job(station, worker, "sh", "-c", "trap '' TERM; while :; do sleep 1; done"))
    until(lambda: (station.run / "s").exists() and any((station.run / "s").iterdir()), process)
    assert process.stop() == 0
    assert "hasn't ended in time" in process.said()


def test_python3_is_the_interpreter_that_runs_the_job(station: Station, worker: Transports) -> None:
    consumer = station.start(station.writes([worker.input("deliver")]))
    script = "import sys, json; print(json.dumps(sys.executable))"
    assert station.start(filter_job(station, worker, "python3", "-c", script, ports="out")).finish() == 0
    interpreter = shutil.which(station.interpreter)
    until(lambda: station.lines() == [f'"{interpreter}"'.encode()], consumer)


def test_output_that_is_not_utf8_fails_the_job(station: Station, worker: Transports) -> None:
    process = station.start(filter_job(station, worker, "printf", r"\377\n", ports="out"))
    assert process.finish() == 1
    assert "printf wrote a line that is not UTF-8" in process.said()


def test_a_line_longer_than_a_channel_carries_fails_the_job(station: Station, worker: Transports) -> None:
    script = "import sys; sys.stdout.write('[' + ' ' * (16 << 20) + ']\\n')"
    process = station.start(filter_job(station, worker, "python3", "-c", script, ports="out"))
    assert process.finish() == 1
    assert "python3 wrote a line longer than 16 MiB" in process.said()


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_jq_works_as_a_filter(station: Station, worker: Transports) -> None:
    log = Log(station.root / "in" / "a.log")
    consumer = station.start(station.writes([worker.input("deliver")]))
    process = station.start(filter_job(station, worker, "jq", "--unbuffered", "-c", "{n}"))
    producer = station.start(station.reads([worker.output({"filter": 1})], mode="tail"))
    log.add(events(10))
    until(lambda: station.written() == b"".join(b'{"n":%d}\n' % n for n in range(10)), process, consumer, producer)
    assert process.stop() == 0, process.said()


LISTENS = """
import os, signal, socket, sys
reloads = 0
def reload(*_):
    global reloads
    reloads += 1
    open("reloaded", "w").close()
signal.signal(signal.SIGHUP, reload)
signal.signal(signal.SIGTERM, lambda *_: None)
if os.path.exists("events.sock"):
    os.unlink("events.sock")
server = socket.socket(socket.AF_UNIX)
server.bind("events.sock")
server.listen()
connection, _ = server.accept()
for line in connection.makefile("rb"):
    sys.stdout.buffer.write(line.replace(b"text", b"%d" % reloads))
    sys.stdout.buffer.flush()
"""


def listener(station: Station, channel: Transports, program: str = LISTENS) -> str:
    """An engine that reads no stdin, with a state directory whose path is longer than that of a socket may be."""
    job = "o." + "filter-" * 16 + "x.0"
    (station.root / "engine.py").write_text(program)
    ports = {"inputs": {"default": [channel.input("filter")]}, "outputs": {"default": [channel.output({"deliver": 1})]}}
    command = ["python3", str(station.root / "engine.py")]
    runner = {"role": "exec", "with": {"command": command, "input": "socket"}, **ports}
    station.describe(job, directory="state", runner=runner)
    return job


def test_events_go_through_an_engine_that_listens_at_a_socket(every_python: Station, worker: Transports) -> None:
    station = every_python
    station.put("a", events(50_000))
    running = [station.start(listener(station, worker)), station.start(station.writes([worker.input("deliver")]))]
    producer = feed(station, worker)
    assert producer.finish() == 0, producer.said()  # all was acknowledged, so the engine has read it
    until(lambda: len(station.lines()) == 50_000, *running)
    assert station.written() == events(50_000).replace(b"text", b"0")
    assert running[0].stop() == 0, running[0].said()
    assert running[1].stop() == 0


def test_a_reload_is_passed_on_to_the_engine_and_the_runner_stays(station: Station, worker: Transports) -> None:
    station.put("a", events(1))
    job = listener(station, worker)
    running = [station.start(job), station.start(station.writes([worker.input("deliver")]))]
    assert feed(station, worker).finish() == 0
    until(lambda: len(station.lines()) == 1, *running)
    running[0].send_signal(signal.SIGHUP)
    until((station.state(job) / "reloaded").exists, *running)
    station.put("b", events(1, start=1))
    assert feed(station, worker).finish() == 0
    until(lambda: len(station.lines()) == 2, *running)
    assert b'"1"' in station.lines()[1]
    assert running[0].stop() == 0


def test_an_engine_that_never_listens_fails_the_job_and_nothing_counts_as_done(
    station: Station, worker: Transports
) -> None:
    process = station.start(listener(station, worker, "import sys; sys.exit('no such input')"))
    assert process.finish() == 1
    assert "no such input" in process.said()


DEAF = """
import os, pathlib, socket, time
server = socket.socket(socket.AF_UNIX)
server.bind("events.sock")
server.listen()
connection, _ = server.accept()
connection.recv(1, socket.MSG_PEEK)
runner = os.getppid()
pathlib.Path("reached").touch()
while os.getppid() == runner:
    time.sleep(0.1)
"""


def test_what_an_engine_has_not_read_from_its_socket_comes_again(station: Station, worker: Transports) -> None:
    station.put("a", events(100))
    job = listener(station, worker, DEAF)
    deaf, consumer = station.start(job), station.start(station.writes([worker.input("deliver")]))
    producer = feed(station, worker)
    until((station.state(job) / "reached").exists, deaf, producer)
    deaf.kill()
    deaf.wait()
    hearing = station.start(listener(station, worker))
    assert producer.finish() == 0, producer.said()
    until(lambda: len(station.lines()) == 100, hearing, consumer)
    assert numbers(station.lines()) == list(range(100))
