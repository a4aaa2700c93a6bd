"""Where a stack is: the file that playbooks/connection.yml writes for a target. It holds no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from floe_stack.errors import StackError

BUILD: Final = Path("build")

Port = Annotated[int, Field(ge=1, le=65535)]


class LocalPorts(BaseModel):
    """Ports on 127.0.0.1 that `make port-forward` listens on (`floe_ports` of the inventory)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dagster: Port
    cube_api: Port
    cube_sql: Port
    jaeger: Port
    marquez: Port
    minio: Port


class Connection(BaseModel):
    """How a target's stack is reached.

    Attributes:
        target: `local` or `testbed`.
        kubectl: The program, as a path or a name on PATH.
        kubeconfig: Its file; empty for kubectl's own choice.
        context: Context in that file; empty for the current one.
        namespace: Where the releases are.
        ports: Local ports of `make port-forward`.
        persistent: Whether data of PostgreSQL and MinIO are on volumes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    kubectl: str
    kubeconfig: str
    context: str
    namespace: str
    ports: LocalPorts
    persistent: bool

    @property
    def argument(self) -> str:
        """What a make command needs behind its name to mean this stack: nothing for the default."""
        return "" if self.target == "local" else f" TARGET={self.target}"


def connection_file(target: str) -> Path:
    """Where the file of a target is, seen from the checkout."""
    return BUILD / target / "connection.json"


def load_connection(target: str) -> Connection:
    """Read a target's file.

    Raises:
        StackError: It is not there or cannot be used.
    """
    path = connection_file(target)
    writes = f"`make connection TARGET={target}` writes it"
    try:
        return Connection.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StackError(f"{path} is not there: {writes}") from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_context=False)
        )
        raise StackError(f"{path} cannot be used: {wrong}; {writes}") from error
