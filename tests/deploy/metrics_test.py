"""The alerts and the board name only what the services have: metrics, labels, decisions and reasons.

Usage: metrics_test.py ROOT. The source is the list: a name stands in a call that makes it.
"""
import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(sys.argv[1])
PROMETHEUS_OWN = {"up", "ALERTS"}
PROMETHEUS_LABELS = {"job", "instance", "le", "alertstate"}
failures = []


def fail(message):
    failures.append(message)
    print("FAILED:", message)


def sources():
    files = [f for area in ("libshared", "services") for f in sorted((ROOT / area).rglob("*.c"))]
    return {file: file.read_text() for file in files}


def metrics_of(texts):
    """Name to kind, of every metric that a service can expose."""
    kinds = {}
    for file, text in texts.items():
        calls = re.findall(r'mr_metrics_(counter|gauge|histogram)\(\s*[^";]*?"(millrace_\w+)"', text)
        calls += re.findall(r'mr_(counter)s_add\(\s*[^";]*?"(millrace_\w+)"', text)
        # The stage's gauges go through a function of their own.
        calls += [("gauge", name) for name in re.findall(r'\bset\(stage, "(millrace_\w+)"', text)]
        kinds.update({name: kind for kind, name in calls})
        named = set(re.findall(r'"(millrace_\w+)"', text))
        for name in sorted(named - {name for _, name in calls}):
            fail(f"{file.relative_to(ROOT)}: {name} is in no call that this test knows")
    return kinds


def exposed(kinds):
    names = set()
    for name, kind in kinds.items():
        names |= {name + suffix for suffix in ("_bucket", "_count", "_sum")} if kind == "histogram" else {name}
    return names


def labels_of(texts):
    """What stands first in an initialiser of struct mr_label."""
    labels = set(PROMETHEUS_LABELS)
    for text in texts.values():
        for initialiser in re.findall(r"struct mr_label\b[^;]*", text):
            labels |= set(re.findall(r'\{\s*(?:\.name = )?"(\w+)",', initialiser))
    return labels


def board_queries(board):
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield f"variable {variable['name']}", variable["query"]["query"]


def check(where, query, names, labels, literals):
    bare = re.sub(r'"[^"]*"', '""', query)
    used = set(re.findall(r"\bmillrace_\w+|\bup\b", bare))
    if not used:
        fail(f"{where}: no metric in {query}")
    for name in sorted(used - names - PROMETHEUS_OWN):
        fail(f"{where}: no service exposes {name}")
    grouped = re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", bare)
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", bare)
    for label in sorted({word.strip() for group in grouped for word in group.split(",")} | set(matched)):
        if label not in labels:
            fail(f"{where}: no series has the label {label}")
    for label, values in re.findall(r'\b(decision|reason|stage)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', query):
        for value in values.split("|"):
            if value not in literals:
                fail(f"{where}: {label} is never {value}")


def main():
    texts = sources()
    kinds = metrics_of(texts)
    names, labels = exposed(kinds), labels_of(texts)
    literals = {literal for text in texts.values() for literal in re.findall(r'"((?:[^"\\\n]|\\.)*)"', text)}

    groups = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    board = json.loads((ROOT / "deploy/grafana/dashboards/millrace.json").read_text())
    for rule in rules:
        check(rule["alert"], rule["expr"], names, labels, literals)
    for where, query in board_queries(board):
        check(where, query, names, labels, literals)

    tested = (ROOT / "tests/deploy/alerts_test.yml").read_text()
    for rule in rules:
        if f'alertname="{rule["alert"]}"' not in tested:
            fail(f"{rule['alert']} has no case in alerts_test.yml")
    print(f"{len(kinds)} metrics, {len(rules)} alerts, {len(board['panels'])} panels")
    return 1 if failures else 0


sys.exit(main())
