"""What gives way first where not everything has room: the lowest is shown first."""

TITLE, SUMMARY, FIRST_RISKS, FIRST_JOBS, GRAPH, FIRST_DIFFS, JOBS, RISKS, DIFFS, LONG_DIFFS = range(10)

RISKS_FIRST = 20
"""So many sentences about data, and about what is overwritten, before anything else is told."""

JOBS_FIRST = 80
DIFFS_FIRST = 8
"""So many jobs and diffs before the whole of either."""
