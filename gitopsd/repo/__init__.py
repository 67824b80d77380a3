"""The Git edge: read a commit, write an artifact commit, fetch and push.

Import the modules; this file stays empty, because pygit2 costs 74 ms and not every command needs it.
"""
