"""The agent: runs on workers, standard library only (Python 3.9+), imports nothing else of gitopsd.

Modules import each other relatively, since the same files run as the package `gitopsd_agent` of the
script that is sent to workers (bundle.py, which is not sent itself). Values are NamedTuples: importing
dataclasses would take longer than all else that a verb imports.
"""
