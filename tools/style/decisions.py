"""
A decision is exhaustive and pure to look at: *_decide.c has no `default:`, and neither it nor the vocabulary that it
includes sees generated protobuf types, libraries or I/O. (cmake/check_pure.sh asks the object files the same.)
Usage: decisions.py ROOT
"""

import re
import sys

from source import files, finish, lines_of

DEFAULT = re.compile(r"\bdefault\s*:")
INCLUDE = re.compile(r'#include\s+([<"][^>"]+[>"])')
ALLOWED_SYSTEM = {"<stdbool.h>", "<stddef.h>", "<stdint.h>", "<string.h>", "<limits.h>", "<inttypes.h>", "<float.h>"}


def includes(path):
    for number, line in lines_of(path):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1)


def main(root):
    findings = []
    for path in files(root, ".c"):
        if not path.name.endswith("_decide.c"):
            continue
        vocabulary = path.with_name(path.name.replace("_decide.c", ".h"))
        for number, line in lines_of(path, code_only=True):
            if DEFAULT.search(line):
                findings.append(f"{path.relative_to(root)}:{number}: default: hides a case that is not decided")
        for source in [path] + ([vocabulary] if vocabulary.exists() else []):
            for number, what in includes(source):
                if what.endswith('.pb-c.h"') or (what[0] == "<" and what not in ALLOWED_SYSTEM):
                    findings.append(f"{source.relative_to(root)}:{number}: {what} in a pure decision")
    finish(findings)


main(sys.argv[1])
