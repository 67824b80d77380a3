"""What an environment says of its messaging services, and a channel that wants other ones for itself."""

from typing import Annotated

from msgspec import Meta, UnsetType

from gitopsd.model.names import SecretName

NatsAddresses = Annotated[tuple[str, ...], Meta(min_length=1, description="addresses such as nats://10.0.0.5:4222")]
NatsCredentials = Annotated[
    SecretName | UnsetType,
    Meta(description="the name of a secret: `USER:PASSWORD`, a token, a user's seed (`SU…`) or a .creds file"),
]
NatsAuthority = Annotated[
    SecretName | UnsetType, Meta(description="the name of a secret: the certificate of the servers' own authority")
]
NatsCertificate = Annotated[
    SecretName | UnsetType,
    Meta(description="the name of a secret: a certificate and its key that jobs show, as PEM"),
]

StoreEndpoint = Annotated[str | UnsetType, Meta(description="the address of the S3 API")]
StoreBucket = Annotated[str | UnsetType, Meta(description="the bucket")]
StoreRegion = Annotated[str | UnsetType, Meta(description="the region of the bucket")]
StoreCredentials = Annotated[
    SecretName | UnsetType, Meta(description="the name of a secret that is an AWS credentials file")
]
StoreAuthority = Annotated[
    SecretName | UnsetType, Meta(description="the name of a secret: the certificate of the store's own authority")
]
