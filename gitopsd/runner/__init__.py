"""The job runtime: ships as plain text inside releases and runs on workers.

Standard library only (and jmespath, shipped beside it), Python 3.9 to 3.13, and nothing from the rest of gitopsd.
In a release it lies at `runtime/runner/gitopsd/runner/`, below `runtime/runner/__main__.py`, so that every import
reads and means the same there as in the source tree.
"""
