"""The forge that the operator's configuration names."""

from functools import partial

from gitopsd.daemon.configuration.configuration import ForgeConfiguration, ForgeSecret
from gitopsd.daemon.secrets.errors import SecretError
from gitopsd.daemon.secrets.resolve import value_on_this_machine
from gitopsd.forge.client import Heard, no_matter
from gitopsd.forge.connect import connect
from gitopsd.forge.errors import ForgeUnavailableError
from gitopsd.forge.forge import Forge
from gitopsd.model.secret import SecretValue

_TOKEN_SECONDS = 30.0


def open_forge(configuration: ForgeConfiguration, heard: Heard = no_matter) -> Forge:
    """It asks for the token at every request, so whoever renews it writes it where it is, and that's all.

    `heard` is told of each answer.
    """
    token = partial(_token, configuration.token)
    return connect(configuration.kind, configuration.repository, configuration.url, token, heard=heard)


def _token(source: ForgeSecret) -> SecretValue:
    try:
        return value_on_this_machine(source)
    except SecretError as error:
        raise ForgeUnavailableError(f"the forge's token: {error.message}", again_in=_TOKEN_SECONDS) from None
