"""Write the table of values into a chart's README: chart_readme.py [--check] CHART...

A row for each key of values.yaml above which a comment starts with `# --`, in the manner of helm-docs; the
table replaces what is between the marks in README.md. With --check nothing is written, and a difference exits
with 1.
"""

import argparse
import json
import sys
from pathlib import Path

import yaml

BEGIN, END = "<!-- values: made by scripts/chart_readme.py -->", "<!-- end of values -->"


def comment_above(lines, line):
    """Return the `# --` comment that ends just above a line, as one text, or None."""
    text = []
    for above in reversed(lines[:line]):
        if not above.lstrip().startswith("#"):
            return None
        words = above.strip().removeprefix("#").strip()
        if words.startswith("-- "):
            return " ".join([words.removeprefix("-- "), *text])
        text.insert(0, words)
    return None


def rows(lines, node, path=()):
    """Yield key, default and meaning of every documented key below a YAML node."""
    for key, value in node.value:
        name = (*path, key.value)
        meaning = comment_above(lines, key.start_mark.line)
        is_map = isinstance(value, yaml.MappingNode) and not value.flow_style
        if meaning:
            default = "see values.yaml" if is_map else f"`{json.dumps(plain(value))}`"
            yield ".".join(name), default, meaning
        if is_map:
            yield from rows(lines, value, name)


def plain(node):
    """Return the Python value of a YAML node."""
    loader = yaml.SafeLoader("")
    return loader.construct_object(node, deep=True)


def table(values):
    """Return the Markdown table of a values.yaml."""
    text = values.read_text()
    found = rows(text.splitlines(), yaml.compose(text))
    lines = [f"| `{key}` | {default} | {meaning} |".replace("\n", " ") for key, default, meaning in found]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *lines])


def with_table(readme, made):
    """Return the README's text with a new table; exits when the marks are missing."""
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        sys.exit(f"{readme}: needs the lines {BEGIN} and {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def main():
    """Write or compare the READMEs of the charts that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("charts", type=Path, nargs="+")
    arguments = parser.parse_args()
    for chart in arguments.charts:
        readme = chart / "README.md"
        wanted = with_table(readme, table(chart / "values.yaml"))
        if not arguments.check:
            readme.write_text(wanted)
        elif readme.read_text() != wanted:
            sys.exit(f"{readme} is not what values.yaml says: run scripts/chart_readme.py {chart}")


if __name__ == "__main__":
    main()
