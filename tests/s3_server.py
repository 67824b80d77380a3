"""A real S3 server, SeaweedFS, with a directory of its own: it can be killed and started again."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.ports import free_port

DEADLINE = 90.0
BUCKET = "events"
KEY = ("test-access", "test-secret-value")
READER_KEY = ("read-access", "read-secret-value")
"""May not put."""

_PORTS = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc")


class S3Server:
    """Listens on `address` only. `tls` are the files of its certificate and key."""

    def __init__(self, root: Path, *, address: str = "127.0.0.1", tls: tuple[Path, Path] | None = None) -> None:
        self._root = root
        self._address = address
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._ports = {name: free_port(address) for name in _PORTS}
        (root / "data").mkdir(parents=True)
        (root / "identities.json").write_text(
            json.dumps({"identities": [_identity(*KEY, "Admin", "Write"), _identity(*READER_KEY)]})
        )

    @property
    def endpoint(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._address}:{self._ports['s3']}"

    @property
    def port(self) -> int:
        return self._ports["s3"]

    def start(self) -> None:
        """Return at once; `wait` for it."""
        options: dict[str, object] = {
            "ip": self._address,
            "ip.bind": self._address,
            "dir": self._root / "data",
            "master.volumeSizeLimitMB": 64,
            "master.electionTimeout": "1s",
            "volume.max": 0,
            "volume.preStopSeconds": 0,
            "filer.localSocket": self._root / "filer.sock",
            "s3.localSocket": self._root / "s3.sock",
            "s3.config": self._root / "identities.json",
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        for name, port in self._ports.items():
            role, _, kind = name.partition(".")
            options[f"{role}.port{'.' + kind if kind else ''}"] = port
        if self._tls:
            options |= {"s3.cert.file": self._tls[0], "s3.key.file": self._tls[1]}
        arguments = [f"-{name}={value}" for name, value in options.items()]
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [Path(sys.executable).with_name("weed"), "-logtostderr=true", "server", "-filer", "-s3", *arguments],
                stdout=log,
                stderr=log,
                cwd=self._root,
            )

    def wait(self) -> None:
        """Until it has the bucket, takes an object and gives it back."""
        client = self.client()
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                client.put_object(Bucket=BUCKET, Key="ready", Body=b"yes")
                client.get_object(Bucket=BUCKET, Key="ready")["Body"].read()
            except (BotoCoreError, ClientError) as error:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"SeaweedFS isn't ready ({error}): {self.said()[-2000:]}") from error
                with contextlib.suppress(BotoCoreError, ClientError):
                    client.create_bucket(Bucket=BUCKET)
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def hang(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._running().pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.kill()
        for port in self._ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def said(self) -> str:
        return (self._root / "log").read_text(encoding="utf-8", errors="replace")

    def client(self) -> Any:
        return Session().create_client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEY[0],
            aws_secret_access_key=KEY[1],
            verify=str(self._tls[0]) if self._tls else None,
            config=Config(
                connect_timeout=2,
                read_timeout=10,
                retries={"mode": "standard", "total_max_attempts": 1},
                s3={"addressing_style": "path"},
            ),
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise AssertionError("start it first")
        return self._process


@functools.cache
def shared_server() -> S3Server:
    """One for all tests of this process: it takes some seconds to start."""
    root = Path(tempfile.mkdtemp(prefix="s3-"))
    server = S3Server(root / "server")

    def end() -> None:
        server.close()
        shutil.rmtree(root)

    atexit.register(end)
    server.start()
    server.wait()
    return server


def credentials(key: tuple[str, str] = KEY) -> str:
    return f"[default]\naws_access_key_id = {key[0]}\naws_secret_access_key = {key[1]}\n"


def make_certificate(directory: Path, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """The files of a certificate for `address`, signed by itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _identity(access: str, secret: str, *more: str) -> dict[str, object]:
    return {
        "name": access,
        "credentials": [{"accessKey": access, "secretKey": secret}],
        "actions": ["Read", "List", *more],
    }
