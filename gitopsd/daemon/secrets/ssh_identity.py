"""The private key that gitopsd logs in to workers with: a file, or a credential of the service."""

from gitopsd.daemon.configuration.configuration import SshConfiguration
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.secrets.credential import credential_file
from gitopsd.daemon.secrets.errors import SecretError


def identities(ssh: SshConfiguration) -> tuple[str, ...]:
    """Its path; empty where ssh-agent and ~/.ssh are to be asked. Raises ControllerError where it can't be had."""
    if isinstance(ssh.identity, str):
        return (ssh.identity,) if ssh.identity else ()
    try:
        return (str(credential_file(ssh.identity.credential)),)
    except SecretError as error:
        raise ControllerError(f"`ssh: identity`: {error.message}", "or name a file there") from None
