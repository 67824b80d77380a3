"""Real systemd machines to test against.

`machines.py` is the API, `fixtures.py` its pytest face, `__main__.py` its command line.
"""
