"""What this machine lacks for real systemd machines, in words that say what to do."""

import os
import shutil

# One tool that shows the presence of each package.
TOOLS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "ssh": "openssh-client",
    "ip": "iproute2",
    "nsenter": "util-linux",
}


def missing() -> str | None:
    """A skip reason, or None when machines can be booted here."""
    if os.geteuid() != 0:
        return "needs root: real systemd machines (run as root)"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    packages = sorted(package for tool, package in TOOLS.items() if shutil.which(tool, path=path) is None)
    if packages:
        return f"needs packages: real systemd machines (apt-get install {' '.join(packages)})"
    return None
