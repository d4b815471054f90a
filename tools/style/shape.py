"""Functions fit a screen (70 lines), lines 120 columns; no tabs, no space at a line's end. Usage: shape.py ROOT"""

import sys

from source import files, finish, lines_of

FUNCTION_LINES = 70
LINE_COLUMNS = 120


def long_functions(name, path):
    # Linux braces put the brace of a function alone in column 0, and no other.
    opened = None
    for number, line in lines_of(path):
        if line == "{":
            opened = number
        elif line.startswith("}") and opened is not None:
            length = number - opened + 1
            if length > FUNCTION_LINES:
                yield f"{name}:{opened}: a function of {length} lines; {FUNCTION_LINES} at most"
            opened = None


def bad_lines(name, path):
    for number, line in lines_of(path):
        if len(line) > LINE_COLUMNS:
            yield f"{name}:{number}: {len(line)} columns; {LINE_COLUMNS} at most"
        if "\t" in line or line != line.rstrip():
            yield f"{name}:{number}: a tab, or space at the end"


def main(root):
    findings = []
    for path in files(root, ".c", ".h", ".proto", ".sh", ".bash", ".py", ".cmake"):
        name = path.relative_to(root)
        findings += bad_lines(name, path)
        if path.suffix in {".c", ".h"}:
            findings += long_functions(name, path)
    finish(findings)


main(sys.argv[1])
