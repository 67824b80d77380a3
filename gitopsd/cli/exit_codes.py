"""What exit codes mean: DESIGN.md, section 8, and docs/reference/commands.md."""

OK = 0
FAILED = 1
CHANGES = 2
STALE_PLAN = 3
UNREACHABLE = 4
USAGE = 64
INTERRUPTED = 130
