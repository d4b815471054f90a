"""What every check shares: finding the project's files, and C without its comments and literals."""

import pathlib
import re
import sys

SKIPPED = {".git", "build", "node_modules"}
# One pass over a file, so that a quote in a comment and a comment mark in a string are what they are.
TOKENS = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


def files(root, *suffixes):
    """Paths below root with one of the suffixes, sorted; build folders left out."""
    found = []
    for path in sorted(pathlib.Path(root).rglob("*")):
        parts = path.relative_to(root).parts
        skipped = any(part in SKIPPED or part.startswith("build-") for part in parts)
        if path.suffix in suffixes and not skipped and path.is_file():
            found.append(path)
    return found


def code_of(text):
    """C with comments and literals blanked; line numbers stay."""

    def blank(match):
        token = match.group(0)
        return ("" if token[0] == "/" else token[0] * 2) + "\n" * token.count("\n")

    return TOKENS.sub(blank, text)


def lines_of(path, code_only=False):
    """(number, line) pairs."""
    text = path.read_text(encoding="utf-8")
    return enumerate((code_of(text) if code_only else text).split("\n"), start=1)


def finish(findings):
    """Prints one finding a line; the exit code says whether there was one."""
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
