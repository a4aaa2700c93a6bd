"""The commands of apache/polaris-admin-tool 1.7.0: `bootstrap`, which may be repeated, and `purge`."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from .realms import Realms, database_url, parse_credentials, read_credentials


def main(arguments: list[str] | None = None) -> int:
    """Entry point.

    Returns:
        0 when done or done before, 1 when the database refuses, 2 for wrong usage.
    """
    print("this is polaris-admin-tool-double, a stand-in in the testbed", file=sys.stderr)
    parser = argparse.ArgumentParser(prog="polaris-admin-tool")
    commands = parser.add_subparsers(dest="command", required=True)
    bootstrap = commands.add_parser("bootstrap", help="bootstrap realms and root principal credentials")
    which = bootstrap.add_mutually_exclusive_group(required=True)
    which.add_argument("-r", "--realm", action="append")
    which.add_argument("-f", "--credentials-file", type=Path, metavar="<file>")
    bootstrap.add_argument(
        "-c", "--credential", action="append", default=[], metavar="realm,clientId,clientSecret"
    )
    bootstrap.add_argument("-p", "--print-credentials", action="store_true")
    purge = commands.add_parser("purge", help="purge realms and all their entities")
    purge.add_argument("-r", "--realm", action="append", required=True)
    chosen = parser.parse_args(arguments)
    try:
        realms = Realms(database_url(os.environ))
        if chosen.command == "purge":
            return _purge(realms, chosen.realm)
        credentials = (
            read_credentials(chosen.credentials_file)
            if chosen.credentials_file
            else parse_credentials(";".join(chosen.credential))
        )
        for realm in chosen.realm or credentials:
            _bootstrap(realms, realm, credentials.get(realm), show=chosen.print_credentials)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except SQLAlchemyError as error:
        print(
            f"Bootstrap encountered errors during operation: {str(error).partition(chr(10))[0]}",
            file=sys.stderr,
        )
        return 1
    print("Bootstrap completed successfully.")
    return 0


def _bootstrap(realms: Realms, realm: str, root: tuple[str, str] | None, *, show: bool) -> None:
    root = root or (secrets.token_hex(8), secrets.token_hex(16))
    if not realms.bootstrap(realm, *root):
        print(f"Realm '{realm}' already bootstrapped, skipping.")
        return
    print(f"Realm '{realm}' successfully bootstrapped.")
    if show:
        print(f"realm: {realm} root principal credentials: {root[0]}:{root[1]}")


def _purge(realms: Realms, names: list[str]) -> int:
    missing = [name for name in names if not realms.purge(name)]
    for name in missing:
        print(f"Realm '{name}' is not bootstrapped.", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
