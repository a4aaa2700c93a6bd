"""What sqlfluff's plain Jinja templater must know of dbt's macros to lint models without a database."""


def date_trunc(datepart: str, date: str) -> str:
    """As `dbt.date_trunc` renders on DuckDB."""
    return f"date_trunc('{datepart}', {date})"
