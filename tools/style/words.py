"""Words and calls that have no place here. Usage: words.py ROOT"""

import re
import sys

from source import files, finish, lines_of

# In any file: work that is not done, and paths of someone's machine.
ANYWHERE = [
    (re.compile(r"\b(TODO|FIXME|XXX|HACK)\b"), "unfinished work: do it, or file an issue"),
    (re.compile(r"(?<![\w.])/(home|root|work)/\w"), "a path of one machine"),
]
# In C: what overruns, what cannot say that it failed, and waiting for time instead of for a condition.
CALLS = [
    (re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets)\s*\("), "may overrun: use snprintf or mr_buffer_append_text"),
    (re.compile(r"\b(system|popen)\s*\("), "runs a shell"),
    (re.compile(r"\b(sleep|usleep)\s*\("), "waits for time: wait for the condition"),
    (re.compile(r"\btypedef\s+(struct|enum|union)\b"), "a typedef of a struct, enum or union: use its tag"),
]
TEXT = (".c", ".h", ".proto", ".sh", ".bash", ".py", ".cmake", ".md", ".json", ".yaml", ".txt")


def main(root):
    findings = []
    for path in files(root, *TEXT):
        name = path.relative_to(root)
        # This folder and its test say the words that it looks for.
        if name.parts[:2] in {("tools", "style"), ("tests", "style")}:
            continue
        checks = [(number, line, ANYWHERE) for number, line in lines_of(path)]
        if path.suffix in {".c", ".h"}:
            checks += [(number, line, CALLS) for number, line in lines_of(path, code_only=True)]
        for number, line, rules in checks:
            for pattern, why in rules:
                match = pattern.search(line)
                if match:
                    findings.append(f"{name}:{number}: {match.group(0).strip()}: {why}")
    finish(findings)


main(sys.argv[1])
