"""botocore's client for one bucket, as an end of job.json asks for it."""

from __future__ import annotations

import configparser
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from botocore.config import Config
from botocore.session import Session

from gitopsd.runner.errors import JobError, failed

if TYPE_CHECKING:
    from gitopsd.runner.settings import Settings

CONNECT_SECONDS = 3.0
READ_SECONDS = 10.0
"""Of silence. Both bound how long a job that is told to stop waits for a store that hangs."""

DEFAULT_REGION = "us-east-1"

_SHAPE = "write it as an AWS credentials file: aws_access_key_id = … and aws_secret_access_key = …"


class Client(Protocol):
    """What is used of botocore's S3 client."""

    def put_object(self, **parameters: Any) -> dict[str, Any]: ...

    def get_object(self, **parameters: Any) -> dict[str, Any]: ...

    def list_objects_v2(self, **parameters: Any) -> dict[str, Any]: ...

    def delete_object(self, **parameters: Any) -> dict[str, Any]: ...


class Keys(NamedTuple):
    access: str
    secret: str
    token: str | None


def make_client(endpoint: Settings) -> Client:
    """Takes a third of a second of CPU. Asks for nothing yet. Raises JobError."""
    session = Session()
    for name in ("config_file", "credentials_file"):  # what a person keeps at home is not the job's
        session.set_config_variable(name, os.devnull)
    address = endpoint.text("endpoint", "")
    keys = _keys(endpoint.text("credentials", ""))
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={
            "mode": "standard",
            "total_max_attempts": 1,
        },  # store.py tries again: it can be stopped, and says what it waits for
        s3={"addressing_style": "path" if address else "auto"},  # few stores of one's own have a name for each bucket
        request_checksum_calculation="when_required",  # many stores don't know the newer checksums
        response_checksum_validation="when_required",
        max_pool_connections=8,
    )
    try:
        client = session.create_client(
            "s3",
            endpoint_url=address or None,
            region_name=endpoint.text("region", "") or DEFAULT_REGION,
            aws_access_key_id=keys.access if keys else None,
            aws_secret_access_key=keys.secret if keys else None,
            aws_session_token=keys.token if keys else None,
            verify=_authorities(endpoint.text("authority", ""), address),
            config=config,
        )
    except ValueError as error:  # what botocore says of an address that is none
        raise JobError(f"{endpoint.where}.endpoint can't be used: {error}; correct it in the workflow") from error
    return cast("Client", client)


def _keys(name: str) -> Keys | None:
    """What the secret holds; None without one: botocore finds the role of a machine in a cloud by itself."""
    if not name:
        return None
    path = _credential(name)
    try:
        parser = configparser.RawConfigParser(default_section="")
        text = path.read_text(encoding="utf-8")
        parser.read_string(text if text.lstrip().startswith("[") else f"[default]\n{text}")
    except OSError as error:
        raise failed("read the secret", path, error) from error
    except (configparser.Error, ValueError):
        # `from None`: these errors quote the text
        raise JobError(f"the secret {name} can't be understood; {_SHAPE}") from None
    for section in (name for name in ("default", *parser.sections()) if parser.has_section(name)):
        values = dict(parser.items(section))
        if values.get("aws_access_key_id") and values.get("aws_secret_access_key"):
            token = values.get("aws_session_token")
            return Keys(values["aws_access_key_id"], values["aws_secret_access_key"], token)
    raise JobError(f"the secret {name} holds no access key; {_SHAPE}")


def _authorities(name: str, address: str) -> str | None:
    """A file or directory of certificates to trust: the secret's, else the worker's own. Raises JobError."""
    if address.startswith("http://"):
        return None
    if name:
        path = _credential(name)
        try:
            ssl.create_default_context(cafile=str(path))
        except ssl.SSLError:
            raise JobError(f"the secret {name} holds no certificate; write PEM") from None
        except OSError as error:
            raise failed("read the secret", path, error) from error
        return str(path)
    known = ssl.get_default_verify_paths()
    found = known.cafile or known.capath
    if found is None:
        raise JobError("this worker trusts no certificates at all; install ca-certificates, or name an `authority`")
    return found


def _credential(name: str) -> Path:
    directory = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not directory:
        raise JobError(f"the secret {name} isn't there: CREDENTIALS_DIRECTORY isn't set; apply the release again")
    return Path(directory) / name
