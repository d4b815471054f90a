"""
base <- arena, model, store, kafka <- stage, client <- services <- cli, tools: a lower layer never includes a higher
one's headers, no service another's. Every public header has one owner. Usage: layers.py ROOT
"""

import functools
import pathlib
import re
import sys

from source import files, finish, lines_of

# Layer: the layers that it may use. Its folder is libshared/LAYER, except for the last three.
USES = {
    "base": set(),
    "arena": {"base"},
    "model": {"base"},
    "store": {"base"},
    "kafka": {"base"},
    "stage": {"base", "store", "kafka"},
    "client": {"base", "model", "store"},
}
USES["services"] = set(USES)
USES["cli"] = set(USES)
USES["tools"] = {"base", "kafka", "stage"}
USES["examples"] = {"client"}

# Who owns libshared/include/millrace/NAME.h: where it is implemented.
OWNS = {
    "base": "base bump clock config error hash metrics redis_address retry trace work",
    "arena": "arena",
    "model": "batch checkpoint contract engine layer message network pricing profile schedule sobol spec",
    "store": "gc pins store store_doctor store_watch versions",
    "kafka": "lag log log_kafka topics topics_create",
    "stage": "order service stage wire",
    "client": "client",
}
OWNER = {name: layer for layer, names in OWNS.items() for name in names.split()}

# Libraries that only some may touch: they are behind an interface of ours everywhere else.
LIBRARIES = {
    "librdkafka/": ("libshared/kafka", "tools/devbroker", "examples", "tests"),
    "microhttpd.h": ("libshared/base", "cli", "tests"),
    "hiredis/": ("libshared/client", "services/publish", "tests"),
    "curl/": ("libshared/store", "tests"),
    "expat.h": ("libshared/store", "tests"),
    "Random123/": ("libshared/model", "libshared/include/millrace/profile.h", "services/train", "tests"),
}
GENERATED = re.compile(r"millrace/\w+/v\d+/\w+\.pb-c\.h$")
INCLUDE = re.compile(r'#include\s+([<"])([^>"]+)[>"]')


def layer_of(name):
    """The layer of a file, or None where anything may be used."""
    if name.parts[:3] == ("libshared", "include", "millrace"):
        return OWNER.get(name.stem)
    if name.parts[0] == "libshared":
        return name.parts[1]
    return name.parts[0] if name.parts[0] in USES else None


def home_of(name, layer):
    """The folder whose private headers the file may include: its library's, service's or tool's."""
    if layer == "cli":
        return pathlib.Path()  # above all others
    return pathlib.Path(*name.parts[: 1 if layer == "examples" else 2])


@functools.lru_cache(maxsize=None)
def headers_in(folder):
    return {path.name for path in files(folder, ".h")}


def complaint(root, name, layer, quote, target):
    for library, allowed in LIBRARIES.items():
        if target.startswith(library) and not str(name).startswith(allowed):
            return f"{target} is used by {', '.join(allowed[:-1])} alone"
    if quote == "<":
        return None
    if GENERATED.search(target):
        return "base knows no schema" if layer == "base" else None
    if target.startswith("millrace/"):
        owner = OWNER.get(pathlib.PurePath(target).stem)
        if owner is None:
            return f"{target} has no owner in tools/style/layers.py"
        if owner != layer and owner not in USES[layer]:
            return f"{layer} may not use {owner} ({target})"
        return None
    if pathlib.PurePath(target).name not in headers_in(root / home_of(name, layer)):
        return f"{target} belongs to another part"
    return None


def main(root):
    findings = []
    for path in files(root, ".c", ".h"):
        name = path.relative_to(root)
        layer = layer_of(name)
        if name.parts[:3] == ("libshared", "include", "millrace") and layer is None:
            findings.append(f"{name}: has no owner in tools/style/layers.py")
        if layer is None:
            continue
        if layer not in USES:
            findings.append(f"{name}: libshared/{layer} is no layer of tools/style/layers.py")
            continue
        for number, line in lines_of(path):
            match = INCLUDE.match(line)
            problem = match and complaint(root, name, layer, match.group(1), match.group(2))
            if problem:
                findings.append(f"{name}:{number}: {problem}")
    finish(findings)


main(pathlib.Path(sys.argv[1]))
