"""One running stack: every client that a command needs, made when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from floe_stack.connection import Connection
from floe_stack.cube import Cube, sql_session
from floe_stack.dagster import Dagster
from floe_stack.doors import CATALOG, CUBE, CUBE_SQL, DAGSTER, JAEGER, MARQUEZ, STORAGE
from floe_stack.forwards import Forwards, interruptible
from floe_stack.kubectl import Kubectl

if TYPE_CHECKING:
    from psycopg2.extensions import connection as SqlSession  # noqa: N812  # a class that psycopg2 spells small

    from floe_pipeline.settings import Settings
    from floe_stack.lake import OutsideLake

PIPELINE_SECRET = "floe-polaris-pipeline"  # noqa: S105  # the name of a Secret
CUBE_PRINCIPAL_SECRET = "floe-polaris-cube"  # noqa: S105
CUBE_SECRET = "floe-cube"  # noqa: S105


class Stack:
    """A stack, its clients and its Secrets, which are read when they are needed and kept in memory only.

    Attributes:
        connection: Where it is.
        kubectl: kubectl in its namespace.
        forwards: The forwards of this command.
        say: Takes a line about what is waited for.
    """

    def __init__(
        self, connection: Connection, kubectl: Kubectl, forwards: Forwards, say: Callable[[str], None]
    ) -> None:
        self.connection = connection
        self.kubectl = kubectl
        self.forwards = forwards
        self.say = say
        self._secrets: dict[str, dict[str, str]] = {}

    def secret(self, name: str) -> dict[str, str]:
        """What a Secret holds, by key."""
        if name not in self._secrets:
            self._secrets[name] = self.kubectl.secret(name)
        return self._secrets[name]

    @cached_property
    def dagster(self) -> Dagster:
        """Dagster's GraphQL API."""
        return Dagster(self.forwards.address(DAGSTER))

    @cached_property
    def cube(self) -> Cube:
        """Cube's REST API, with a token signed by its secret."""
        return Cube(self.forwards.address(CUBE), self.secret(CUBE_SECRET)["api-secret"])

    def cube_sql(self) -> AbstractContextManager[SqlSession]:
        """A session of Cube's SQL API, as the user of its Secret."""
        secret = self.secret(CUBE_SECRET)
        return sql_session(self.forwards.address(CUBE_SQL), secret["sql-user"], secret["sql-password"])

    @property
    def jaeger(self) -> str:
        """Address of Jaeger."""
        return self.forwards.address(JAEGER)

    @property
    def marquez(self) -> str:
        """Address of Marquez' UI, which passes its API on."""
        return self.forwards.address(MARQUEZ)

    def settings(self, secret: str = PIPELINE_SECRET, **more: object) -> Settings:
        """Settings of a client of the catalog, as the principal of a Secret."""
        from floe_stack.lake import outside_settings  # noqa: PLC0415  # pyiceberg, which most commands do without

        held = self.secret(secret)
        return outside_settings(
            self.forwards.address(CATALOG), held["client-id"], held["client-secret"], **more
        )

    def lake(self, secret: str = PIPELINE_SECRET) -> OutsideLake:
        """The lake as the principal of a Secret sees it."""
        from floe_stack.lake import OutsideLake  # noqa: PLC0415

        return OutsideLake(self.settings(secret), self.forwards.address(STORAGE))


@contextmanager
def open_stack(connection: Connection, say: Callable[[str], None] = lambda _: None) -> Iterator[Stack]:
    """A stack to work with; nothing of it is left when the block ends, however it ends.

    Raises:
        StackError: kubectl does not work, or its cluster does not answer.
    """
    kubectl = Kubectl(connection)
    kubectl.require_namespace()
    with interruptible(), Forwards(kubectl) as forwards:
        yield Stack(connection, kubectl, forwards, say)
