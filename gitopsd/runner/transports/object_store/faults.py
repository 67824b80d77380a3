"""What the store's refusals and silences mean, in a line for people."""

from __future__ import annotations

import ssl
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, SSLError
from urllib3.util.ssl_match_hostname import CertificateError

ERRORS = (BotoCoreError, ClientError)

_AWAY = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.ResponseStreamingError)

_LASTING = {
    "AccessDenied": "allow its key to list, get, put and delete objects there",
    "AllAccessDisabled": "allow its key to list, get, put and delete objects there",
    "InvalidAccessKeyId": "it doesn't know the access key; correct the secret that `credentials` names",
    "SignatureDoesNotMatch": "correct the secret key in the secret that `credentials` names",
    "ExpiredToken": "renew the secret that `credentials` names",
    "InvalidToken": "renew the secret that `credentials` names",
    "NoSuchBucket": "make the bucket, or correct `bucket`",
    "InvalidBucketName": "correct `bucket`",
    "PermanentRedirect": "correct `region` or `endpoint`",
    "AuthorizationHeaderMalformed": "correct `region`",
    "MethodNotAllowed": "correct `endpoint`: this address is not of an S3 API",
    "NotImplemented": "this store lacks what the transport needs",
}


class Fault(NamedTuple):
    message: str
    lasts: bool
    """Whether waiting won't help."""
    missing: bool = False
    """Whether the object isn't there."""


def fault_of(error: Exception) -> Fault:
    if isinstance(error, ClientError):
        return _answered(error.response)
    if isinstance(error, SSLError):
        refused = _certificate_fault(error)
        return Fault(refused or _brief(error), lasts=bool(refused))
    if isinstance(error, NoCredentialsError):
        return Fault("there is no key for it; name a secret that holds one: `credentials`", lasts=True)
    return Fault(_brief(error), lasts=not isinstance(error, _AWAY))


def _answered(response: dict[str, Any]) -> Fault:
    known = response.get("Error", {})
    metadata = response.get("ResponseMetadata", {})
    code, status = str(known.get("Code", "")), int(metadata.get("HTTPStatusCode", 0))
    said = f"{code}: {known.get('Message', '')}".strip(": .") or f"HTTP status {status}"
    if code == "NoSuchKey":
        return Fault(said, lasts=False, missing=True)
    if code == "RequestTimeTooSkewed":
        return Fault(f"{said}{_its_clock(metadata)}; set this worker's clock, as systemd-timesyncd does", lasts=True)
    if code in _LASTING:
        return Fault(f"{said}; {_LASTING[code]}", lasts=True)
    return Fault(said, lasts=400 <= status < 500 and status not in {408, 409, 425, 429})


def _its_clock(metadata: dict[str, Any]) -> str:
    date = metadata.get("HTTPHeaders", {}).get("date", "")
    try:
        return f" (its clock says {parsedate_to_datetime(date).isoformat()})"
    except (TypeError, ValueError):  # TypeError until Python 3.10
        return ""


def _certificate_fault(error: BaseException) -> str:
    """Empty where something else is wrong, such as a server that is still starting."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CertificateError):
            return f"its certificate is for another name: {cause}; correct `endpoint`"
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate isn't trusted: {cause.verify_message}; let `authority` name a secret with its"
                " authority's certificate, or correct that secret; without one, the worker itself must trust it"
            )
        cause = cause.__cause__ or cause.__context__
    return ""


def _brief(error: BaseException) -> str:
    """The system's own words where it has some: the libraries' hold addresses, which are said anyway, and objects."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return str(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split())
