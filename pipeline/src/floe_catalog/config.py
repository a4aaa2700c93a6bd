"""What a catalog server must be told before it can start."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class S3Config:
    """The keys with which the server itself reaches S3 and asks STS for narrower ones.

    Endpoint, region and path style belong to each catalog's `storageConfigInfo`, as in Polaris.

    Attributes:
        access_key: Access key of the server's own S3 user.
        secret_key: Its secret; never sent to a client.
        region: Region used when a catalog's storage names none.
        credential_seconds: Life of a vended key. MinIO grants no less than 900.
    """

    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"
    credential_seconds: int = 3600


@dataclass(frozen=True)
class CatalogConfig:
    """Settings of one catalog server.

    Attributes:
        database_url: SQLAlchemy URL: `sqlite:////abs/path.db` or `postgresql+psycopg2://…`.
        root_client_id: OAuth2 client id of the principal `root`, which may administer everything.
        root_client_secret: Its secret. Set anew at each start, so the operator's word always holds.
        realm: Answered for this `Polaris-Realm` header only (the header may be left out).
        host: Address to listen on.
        port: Port of the Iceberg and management APIs; 0 picks a free one.
        management_port: Port of the health endpoints; 0 picks a free one.
        token_seconds: Life of an access token.
        s3: Server's S3 keys; None when every catalog lives on local files.
        signing_key: HMAC key of the tokens; None keeps a random one in the database, so tokens
            outlive restarts and hold for every process on the same database.
    """

    database_url: str
    root_client_id: str
    root_client_secret: str = field(repr=False)
    realm: str = "POLARIS"
    host: str = "127.0.0.1"
    port: int = 0
    management_port: int = 0
    token_seconds: int = 3600
    s3: S3Config | None = None
    signing_key: str | None = field(default=None, repr=False)
