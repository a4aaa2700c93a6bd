"""Failures a client is told about, each with its HTTP status and Iceberg error type."""

from __future__ import annotations

from typing import ClassVar


class ApiError(Exception):
    """A request that cannot be fulfilled; rendered as Iceberg's error model."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "InternalServerError"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def body(self) -> dict[str, object]:
        """The JSON body `{"error": {"message", "type", "code"}}`."""
        return {"error": {"message": self.message, "type": self.kind, "code": self.status}}


class BadRequestError(ApiError):
    """The request itself is wrong."""

    status, kind = 400, "BadRequestException"


class NotAuthorizedError(ApiError):
    """No valid access token."""

    status, kind = 401, "NotAuthorizedException"


class ForbiddenError(ApiError):
    """Authenticated, but not allowed."""

    status, kind = 403, "ForbiddenException"


class NotFoundError(ApiError):
    """A catalog, role, principal or file is not there."""

    status, kind = 404, "NotFoundException"


class NoSuchNamespaceError(ApiError):
    """The namespace is not there."""

    status, kind = 404, "NoSuchNamespaceException"


class NoSuchTableError(ApiError):
    """The table is not there."""

    status, kind = 404, "NoSuchTableException"


class NoSuchViewError(ApiError):
    """The view is not there (this catalog holds none)."""

    status, kind = 404, "NoSuchViewException"


class AlreadyExistsError(ApiError):
    """The name is taken."""

    status, kind = 409, "AlreadyExistsException"


class NamespaceNotEmptyError(ApiError):
    """A namespace that still holds something cannot be dropped."""

    status, kind = 409, "NamespaceNotEmptyException"


class CommitFailedError(ApiError):
    """A requirement does not hold any more: another commit was faster. Nothing was changed."""

    status, kind = 409, "CommitFailedException"


class UnsupportedMediaTypeError(ApiError):
    """The body is not of the type this endpoint takes."""

    status, kind = 415, "NotSupportedException"


class CommitStateUnknownError(ApiError):
    """The database failed while committing: the commit may or may not have happened."""

    status, kind = 500, "CommitStateUnknownException"


class ServiceUnavailableError(ApiError):
    """Storage or database is out of reach; worth trying again."""

    status, kind = 503, "ServiceUnavailableException"


class OAuthError(Exception):
    """A refused token request; OAuth2 has an error model of its own (RFC 6749, section 5.2)."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description

    def body(self) -> dict[str, str]:
        """The JSON body `{"error", "error_description"}`."""
        return {"error": self.error, "error_description": self.description}
