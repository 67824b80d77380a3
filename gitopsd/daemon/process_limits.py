"""How a process keeps itself within bounds before it looks at what others wrote."""

import math
import resource
import signal


def limit_this_process(*, deadline: float, memory: int) -> None:
    """From now on it has so many seconds and so many bytes of memory, and leaves no image of itself behind.

    The deadline is for when nobody is left to kill it: whoever started it does that a little earlier.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(math.ceil(max(0.0, deadline)) + 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # RLIMIT_AS would count the packs that libgit2 maps, and these may be larger than any memory
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
