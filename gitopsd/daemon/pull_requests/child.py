"""`python -m gitopsd.daemon.pull_requests.child`: one question on stdin, one answer on stdout."""

import errno
import gc
import os
import sys

import msgspec

from gitopsd.daemon.process_limits import limit_this_process
from gitopsd.daemon.pull_requests.exchange import Answer, Question
from gitopsd.daemon.pull_requests.planning import plan_pull_request
from gitopsd.repo.errors import RepositoryError

OUT_OF_MEMORY = 120
CRASHED = 121


def main() -> int:
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    limit_this_process(deadline=question.limits.deadline, memory=question.limits.memory)
    gc.disable()  # as it ends with the answer
    try:
        answer = plan_pull_request(question)
    except RepositoryError as error:
        answer = Answer(problem=". ".join(part for part in (error.message, error.hint) if part))
    sys.stdout.buffer.write(msgspec.json.encode(answer))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    code = CRASHED
    try:
        code = main()
    except MemoryError:
        code = OUT_OF_MEMORY
    except OSError as error:
        code = OUT_OF_MEMORY if error.errno == errno.ENOMEM else CRASHED
    finally:
        os._exit(code)  # nothing of it is needed any more, and letting go of a large plan takes its time
