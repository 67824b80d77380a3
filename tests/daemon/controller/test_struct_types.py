import subprocess
import sys

RACE = """
import sys, threading, msgspec
from gitopsd.fleet.struct_types import learn_struct_types
sys.setswitchinterval(1e-6)
for number in range(20):
    fields = [(f"f{place}", "dict[str, list[int]] | None", None) for place in range(8)]
    inner = [msgspec.defstruct(f"Inner{place}", fields, module="gitopsd.test") for place in range(12)]
    named = [(f"g{place}", one, msgspec.field(default_factory=one)) for place, one in enumerate(inner)]
    outer = msgspec.defstruct("Outer", named, module="gitopsd.test")
    learn_struct_types()
    begin = threading.Barrier(6)
    def decode():
        begin.wait()
        msgspec.json.decode(b'{"g0": {"f0": {"a": [1]}}, "g11": {"f7": null}}', type=outer)
    threads = [threading.Thread(target=decode) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_that_decode_into_the_same_struct_at_once_do_not_crash_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", RACE], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
