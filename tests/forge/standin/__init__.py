"""A forge on this machine: real Git repositories, and as much of each forge's API as gitopsd asks for.

with forge_standin("github", tmp_path) as forge:
    forge.commit("feature", {"workflows/orders.yaml": "…"})
    number = forge.open("feature", author="ada")
    connect("github", forge.name, forge.url, forge.token()).pull_request(number)
    forge.merge(number, "squash")
"""

from tests.forge.standin.forge import Asked, Standin
from tests.forge.standin.records import How, Note, PullRecord, Status
from tests.forge.standin.server import forge_standin

__all__ = ["Asked", "How", "Note", "PullRecord", "Standin", "Status", "forge_standin"]
