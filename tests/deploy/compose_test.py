"""docker-compose.yml, the Dockerfile, Prometheus' targets and the programs agree with each other.

Usage: compose_test.py ROOT PROGRAM-FOLDER. No container engine is needed: docker-compose only reads the file. What the
programs take comes from themselves (--help-markdown).
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ROOT = pathlib.Path(sys.argv[1])
PROGRAMS = pathlib.Path(sys.argv[2])
SERVICES = {"ingest", "validate", "stage_gpu", "train", "persist", "publish"}
# Made by the operator; the repository has none.
SECRETS_FOLDER = "deploy/secrets/"
failures = []


def expect(holds, message):
    if not holds:
        failures.append(message)
        print("FAILED:", message)
    return holds


def read_compose():
    """As docker-compose resolves it with no settings of the caller's."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    with tempfile.NamedTemporaryFile() as nothing:  # instead of a .env
        command = ["docker-compose", "--project-directory", str(ROOT), "-f", str(ROOT / "docker-compose.yml"),
                   "--env-file", nothing.name, "config"]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    if ran.returncode != 0:
        sys.exit(f"FAILED: docker-compose config: {ran.stderr}")
    return yaml.safe_load(ran.stdout.replace("$$", "$"))


class Options:
    """The option table of a program, or of a verb of the command."""

    def __init__(self, program, verb):
        ran = subprocess.run([PROGRAMS / program, "--help-markdown"], capture_output=True, text=True, check=True)
        section = ran.stdout
        if verb:
            section = section.split(f"## {program} {verb}\n", 1)[1].split("\n## ", 1)[0]
        self.rows = {}
        for option, variable, value, default in re.findall(
                r"^\| `--(\S+)` \| `(\S+)` \| (.*?) \| (`[^`]*`|none|required) \|", section.replace("\\|", "/"), re.M):
            self.rows[option] = (variable, value, default)
        assert self.rows, f"no options of {program} {verb}"

    def of_variable(self, variable):
        return next((option for option, row in self.rows.items() if row[0] == variable), None)

    def check(self, where, option, value):
        if not expect(option in self.rows, f"{where}: there is no option --{option}"):
            return
        kind = self.rows[option][1]
        if kind == "text":
            expect(value != "", f"{where}: --{option} is empty")
        elif " to " in kind:
            low, high = (int(bound) for bound in kind.split(" to "))
            expect(value.isdigit() and low <= int(value) <= high, f"{where}: --{option}={value} is not {kind}")
        else:
            expect(value in kind.split(" / "), f"{where}: --{option}={value} is not {kind}")


def given(name, service):
    """What a service or the command is started with: program, verb, options by name."""
    words = list(service["command"])
    program = words.pop(0) if words[0].startswith("millrace-") else "millrace"
    verb = " ".join(word for word in words if not word.startswith("-"))
    options = {}
    for word in words:
        if word.startswith("--") and word != "--help":
            option, equals, value = word[2:].partition("=")
            expect(equals, f"{name}: {word} has no value")
            options[option] = value
    return program, verb, options


def check_options(name, service):
    program, verb, options = given(name, service)
    table = None if program == "millrace" and not verb else Options(program, verb)
    for variable, value in service["environment"].items():
        if not expect(variable.startswith("MILLRACE_"), f"{name}: {variable} means nothing to {program}") or not table:
            continue
        option = table.of_variable(variable)
        if expect(option, f"{name}: {program} {verb} does not read {variable}"):
            expect(option not in options, f"{name}: --{option} and {variable} are both given")
            options[option] = str(value)
    for option, value in options.items():
        table.check(name, option, value)
    for option, row in (table.rows if table else {}).items():
        expect(row[2] != "required" or option in options, f"{name}: {program} needs --{option}")
    return options


def mounts(service):
    """Target to source of what is mounted."""
    return {mount.split(":")[1]: mount.split(":")[0] for mount in service.get("volumes", [])}


def mounted_from(service, path):
    covering = [target for target in mounts(service) if path == target or path.startswith(target.rstrip("/") + "/")]
    return mounts(service)[max(covering, key=len)] if covering else None


def check_service(name, service, options, compose):
    port = options.get("health-port")
    expect(options.get("health-host") == "0.0.0.0", f"{name}: Prometheus cannot reach its health page")
    expect(f"http://127.0.0.1:{port}/readyz" in service["healthcheck"]["test"], f"{name}: its check asks another page")
    expect(service["depends_on"]["topics"]["condition"] == "service_completed_successfully",
           f"{name}: starts before the topics are there")
    expect(service["read_only"] and service["cap_drop"] == ["ALL"], f"{name}: is not confined")
    seconds = int(re.fullmatch(r"(\d+)s", service["stop_grace_period"])[1])
    source = (ROOT / "libshared/stage/service.c").read_text() + (ROOT / "libshared/stage/stage.c").read_text()
    takes = sum(int(re.search(rf"\b{limit} = (\d+)", source)[1]) for limit in ("STOP_WAIT_MS", "STOP_COMMIT_WAIT_MS"))
    expect(seconds * 1000 > takes, f"{name}: is killed after {seconds} s; a stop may take {takes} ms")
    if "store" in options:
        expect(mounted_from(service, options["store"].removeprefix("file://")) == "store", f"{name}: has not the store")
    if "redis" in options:
        expect(options["redis"].split(":")[0] in compose["services"], f"{name}: there is no {options['redis']}")
    return f"{name}:{port}"


def check_arena(stage_gpu, train, services):
    for option in ("arena", "device"):
        expect(stage_gpu[option] == train[option], f"stage_gpu and train have another --{option}")
    volumes = {mounted_from(services[name], stage_gpu["arena"]) for name in ("stage_gpu", "train")}
    expect(volumes == {"arena"}, "stage_gpu and train do not share the arena's socket")


def check_brokers(kafka, ports, brokers):
    advertised = dict(part.split("://") for part in kafka["KAFKA_ADVERTISED_LISTENERS"].split(","))
    listeners = dict(part.split("://") for part in kafka["KAFKA_LISTENERS"].split(","))
    protocols = dict(part.split(":") for part in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    expect(brokers == {advertised[kafka["KAFKA_INTER_BROKER_LISTENER_NAME"]]}, f"Kafka does not listen on {brokers}")
    expect(set(listeners) == set(protocols), "a listener of Kafka has no protocol")
    for name, address in advertised.items():
        expect(listeners[name].rpartition(":")[2] == address.rpartition(":")[2], f"{name} is advertised elsewhere")
    host = advertised["HOST"]
    expect(ports == [f"{host}:{host.rpartition(':')[2]}/tcp"], f"Kafka's port for the host is not published: {ports}")
    controller = listeners[kafka["KAFKA_CONTROLLER_LISTENER_NAMES"]].rpartition(":")[2]
    expect(kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{kafka['KAFKA_NODE_ID']}@kafka:{controller}",
           "Kafka does not find its controller")
    expect(kafka["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false", "Kafka makes topics by itself")


def check_any(name, service, compose):
    """What holds for each container, ours or not."""
    image = service["image"]
    expect("build" in service or re.search(r":[^:]*\d", image) and not image.endswith(":latest"),
           f"{name}: {image} has no version")
    expect(name == "cli" or "restart" in service, f"{name}: nobody starts it again")
    expect(service["logging"]["options"].keys() == {"max-size", "max-file"}, f"{name}: its log has no bound")
    if name != "cli":
        limits = service["deploy"]["resources"]["limits"]
        expect(limits.keys() == {"cpus", "memory"}, f"{name}: has no limits")
    for other, dependency in service.get("depends_on", {}).items():
        target = compose["services"][other]
        if dependency["condition"] == "service_healthy":
            expect("healthcheck" in target, f"{name} waits for {other}, which has no health check")
        if dependency["condition"] == "service_completed_successfully":
            expect(target["restart"].startswith("on-failure:"), f"{name} waits for {other}, which does not end")
    for variable, value in service.get("environment", {}).items():
        if re.search("PASSWORD|SECRET|TOKEN|SETTINGS", variable):
            used = [secret["source"] for secret in service["secrets"]]
            expect(str(value).removeprefix("/run/secrets/") in used, f"{name}: {variable} is not a secret's file")
    for port in service.get("ports", []):
        expect(str(port).startswith("127.0.0.1:"), f"{name}: {port} is open to everyone")
    for source in mounts(service).values():
        kept = source in compose["volumes"] or os.path.exists(ROOT / source)
        expect(kept, f"{name}: there is no {source}")


def check_images(services):
    dockerfile = (ROOT / "Dockerfile").read_text()
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM|\Z)", dockerfile, re.M | re.S))
    for name, service in services.items():
        if "build" not in service:
            continue
        stage = stages.get(service["build"]["target"], "")
        program = given(name, service)[0]
        expect(re.search(rf"/src/build/bin/{program}\s", stage), f"{name}: its image has no {program}")
        expect("USER 10001" in stage, f"{name}: runs as root")
        expect("healthcheck" not in service or re.search(r"\bcurl\b", stage), f"{name}: its image has no curl")
        for target, source in mounts(service).items():
            expect(source not in ("store", "arena") or f" {target}" in stages["runtime"],
                   f"{name}: user 10001 cannot write {target}")


def check_secrets(secrets):
    ignored = (ROOT / ".gitignore").read_text().split()
    for name, secret in secrets.items():
        path = os.path.relpath(secret["file"], ROOT)
        if path.startswith(SECRETS_FOLDER):
            expect("/" + SECRETS_FOLDER in ignored, f"git does not ignore {SECRETS_FOLDER}")
        else:
            expect((ROOT / path).is_file(), f"secret {name}: there is no {path}")


def main():
    compose = read_compose()
    services = compose["services"]
    expect(SERVICES <= services.keys(), f"there is no {SERVICES - services.keys()}")
    for name, service in services.items():
        check_any(name, service, compose)
    ours = {name: service for name, service in services.items() if service["image"].startswith("millrace")}
    options = {name: check_options(name, service) for name, service in ours.items()}
    targets = {check_service(name, ours[name], options[name], compose) for name in SERVICES}
    check_arena(options["stage_gpu"], options["train"], services)
    brokers = {service["environment"]["MILLRACE_BROKERS"] for service in ours.values()}
    check_brokers({k: str(v) for k, v in services["kafka"]["environment"].items()}, services["kafka"]["ports"], brokers)
    check_images(ours)
    check_secrets(compose["secrets"])
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    scraped = {t for job in prometheus["scrape_configs"] for c in job["static_configs"] for t in c["targets"]}
    expect(scraped == targets, f"Prometheus asks {sorted(scraped)}, the services are {sorted(targets)}")
    print(f"{len(services)} containers")
    return 1 if failures else 0


sys.exit(main())
