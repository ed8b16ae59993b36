"""What must be true of the cluster's manifest beyond its schema: rules that return what they find wrong, nothing when all is well.

This file has what belongs together by name: labels, selectors, Services, ports, images, the ensemble, probes and seconds;
`manifest_pod_rules.py` has what is said of each pod.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from msgspec.structs import replace

from gork import __version__
from gork.config.ensemble import Ensemble, load_ensemble, read_ensemble, with_members
from gork.config.settings import load_settings
from gork.errors import ConfigError
from tests.cluster.manifest_objects import MODELS, ORCHESTRATOR, Manifest, Object, environment, selects, walk

Rule = Callable[[Manifest], Iterator[str]]

REGISTRY = "REGISTRY/"
"""What stands for a registry's name until `make` puts it in."""
PART_OF = "gork-heavy-lite"
PORTS = {**dict.fromkeys(MODELS, 11434), ORCHESTRATOR: 8080}
LOADING = (
    "i=0; until /bin/ollama ls > /dev/null 2>&1 || [ $i -ge 50 ]; do i=$((i + 1)); sleep 0.2; done; "
    'told=$(/bin/ollama run "$MODEL" "" 2>&1) || { echo "$MODEL: ${told##*Error: }"; exit 1; }'
)
ROUTES = {"livenessProbe": "/livez", "readinessProbe": "/readyz", "startupProbe": "/livez"}
MODEL_ROUTE = "/api/version"

API_VERSIONS = {
    "ConfigMap": "v1",
    "ServiceAccount": "v1",
    "Service": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Deployment": "apps/v1",
    "Ingress": "networking.k8s.io/v1",
    "PersistentVolumeClaim": "v1",
    "PodDisruptionBudget": "policy/v1",
}
ENUMS = {
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "nodeTaintsPolicy": {"Honor", "Ignore"},
    "nodeAffinityPolicy": {"Honor", "Ignore"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "operator": {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"},
    "terminationMessagePolicy": {"File", "FallbackToLogsOnError"},
    "type": {"ClusterIP", "RollingUpdate", "RuntimeDefault"},
}
LABEL_VALUE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def ensemble_of(manifest: Manifest) -> Ensemble | None:
    """The ensemble in the ConfigMap; None if it cannot be read."""
    try:
        return _read(manifest.ensemble)
    except (ConfigError, KeyError, IndexError):
        return None


_read = functools.cache(lambda text: read_ensemble(text, "ensemble.yaml"))


def kinds(manifest: Manifest) -> Iterator[str]:
    """Only kinds that are meant, in the version that serves them; each name once, none in a namespace of its own."""
    for one in manifest.objects:
        if API_VERSIONS.get(one.get("kind", "")) != one.get("apiVersion"):
            yield f"{one.get('apiVersion')} {one.get('kind')} is none of the kinds that are meant"
        if "namespace" in one["metadata"]:
            yield f"{one['metadata']['name']} names a namespace"
        if not LABEL_VALUE.fullmatch(one["metadata"]["name"]):
            yield f"{one['metadata']['name']} is no name"
    names = Counter((one.get("kind"), one["metadata"]["name"]) for one in manifest.objects)
    yield from (f"{kind} {name} is there {count} times" for (kind, name), count in names.items() if count > 1)
    if sorted(one.name for one in manifest.workloads) != sorted(PORTS):
        yield "the Deployments are not the five models and the orchestrator"


def enums(manifest: Manifest) -> Iterator[str]:
    """Fields with a closed set of values have one of them; schemas do not say so."""
    for one in manifest.objects:
        for path, key, value in walk(one):
            if key in ENUMS and isinstance(value, str) and value not in ENUMS[key]:
                yield f"{one['kind']} {one['metadata']['name']}{path}: {value}"
            if key == "policyTypes" and not set(value) <= {"Ingress", "Egress"}:
                yield f"{one['kind']} {one['metadata']['name']}{path}: {value}"


def labels(manifest: Manifest) -> Iterator[str]:
    """Every object and pod says its name, what it is part of, its component and the release."""

    def check(where: str, name: str, given: Object) -> Iterator[str]:
        component = "orchestrator" if name == ORCHESTRATOR else "model"
        wanted = {"name": name, "part-of": PART_OF, "component": component, "version": __version__}
        for key, value in wanted.items():
            if given.get(f"app.kubernetes.io/{key}") != value:
                yield f"{where}: {key} is {given.get(f'app.kubernetes.io/{key}')}, not {value}"

    for one in manifest.objects:
        yield from check(f"{one['kind']} {one['metadata']['name']}", one["metadata"]["name"], one["metadata"].get("labels", {}))
    for workload in manifest.workloads:
        yield from check(f"pods of {workload.name}", workload.name, dict(workload.labels))


def selectors(manifest: Manifest) -> Iterator[str]:
    """A Deployment's, Service's or PodDisruptionBudget's selector finds the pods of its own Deployment and no others."""
    chosen = [(one, one["spec"]["selector"]["matchLabels"]) for kind in ("Deployment", "PodDisruptionBudget") for one in manifest.of(kind)]
    chosen += [(one, one["spec"]["selector"]) for one in manifest.of("Service")]
    for one, selector in chosen:
        found = [workload.name for workload in manifest.workloads if selects(selector, workload.labels)]
        if found != [one["metadata"]["name"]]:
            yield f"{one['kind']} {one['metadata']['name']} selects {found}"


def ports(manifest: Manifest) -> Iterator[str]:
    """Each Deployment has a Service at the port that is agreed on, whose target is a port that the pod names."""
    for workload in manifest.workloads:
        named = {port["name"]: port["containerPort"] for port in workload.main.get("ports", [])}
        wanted = PORTS.get(workload.name)
        if any(len(name) > 15 or not LABEL_VALUE.fullmatch(name) for name in named) or list(named.values()) != [wanted]:
            yield f"{workload.name} has the ports {named}"
        services = [one for one in manifest.of("Service") if one["metadata"]["name"] == workload.name]
        offered = [(port["port"], named.get(port["targetPort"])) for one in services for port in one["spec"]["ports"]]
        if offered != [(wanted, wanted)]:
            yield f"the Services of {workload.name} lead from and to {offered}"


def images(manifest: Manifest) -> Iterator[str]:
    """Images have the Deployment's name and the release, in a registry or not, and are pulled only if they are not there."""
    for workload in manifest.workloads:
        for container in workload.containers:
            if container["image"].removeprefix(REGISTRY) != f"{workload.name}:{__version__}":
                yield f"{workload.name}/{container['name']} runs {container['image']}"
            if container.get("imagePullPolicy") != "IfNotPresent":
                yield f"{workload.name}/{container['name']}: an imported image would be pulled"


def members(manifest: Manifest) -> Iterator[str]:
    """The ensemble's members, the model Deployments and the Services at the members' addresses are the same."""
    ensemble = ensemble_of(manifest)
    if ensemble is None:
        yield "the ensemble cannot be read"
        return
    if {member.name for member in ensemble.members} != {workload.name for workload in manifest.models}:
        yield f"members {[member.name for member in ensemble.members]} are not the models"
    offered = {(one["metadata"]["name"], one["spec"]["ports"][0]["port"]) for one in manifest.of("Service")}
    for member in ensemble.members:
        url = urlsplit(member.url or "")
        if url.hostname != member.name or (url.hostname, url.port) not in offered:
            yield f"{member.name} is asked at {member.url}"


def no_tags(manifest: Manifest) -> Iterator[str]:
    """Nothing in the manifest says which model a pod has: its image decides."""
    tags = [member.model for member in load_ensemble("heavy-lite").members if member.model]
    for one in manifest.objects:
        for path, key, value in walk(one):
            if key == "name" and (value == "MODEL" or str(value).endswith("_MODEL")):
                yield f"{one['metadata']['name']}{path} sets {value}"
            if isinstance(value, str):
                yield from (f"{one['metadata']['name']}{path} names {tag}" for tag in tags if tag in value)
    ensemble = ensemble_of(manifest)
    if ensemble is not None:
        yield from (f"{member.name} has a model or weights" for member in ensemble.members if member.model or member.weights)


def same_ensemble(manifest: Manifest) -> Iterator[str]:
    """Prompts, options, choosing and the rest are those of the shipped ensemble; a server's slots suffice for what is asked at once."""
    ensemble = ensemble_of(manifest)
    if ensemble is None:
        yield "the ensemble cannot be read"
        return

    def bare(given: Ensemble) -> Ensemble:
        return with_members(given, lambda member: replace(member, url=None, model=None, weights=None, parallel=1))

    mine, shipped = bare(ensemble), bare(load_ensemble("heavy-lite"))
    if {member.name for member in mine.members} == {member.name for member in shipped.members} and mine != shipped:
        yield "the ensemble is not the shipped one"
    for member in ensemble.members:
        for workload in manifest.models:
            if workload.name == member.name and member.parallel != int(workload.spec["replicas"]):
                yield f"{member.name}: {member.parallel} requests at a time for {workload.spec['replicas']} replicas"


def probes(manifest: Manifest) -> Iterator[str]:
    """Every serving container has three probes at the routes that there are, each with one handler and time for a busy pod."""
    for workload in manifest.workloads:
        named = {port["name"] for port in workload.main.get("ports", [])}
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = workload.main.get(kind, {})
            handlers = {key: value for key, value in probe.items() if key in {"exec", "httpGet", "tcpSocket", "grpc"}}
            where = f"{workload.name}: {kind}"
            if len(handlers) != 1 or probe.get("timeoutSeconds", 1) < 5:
                yield f"{where} has {list(handlers)} and {probe.get('timeoutSeconds', 1)} s"
            if workload.is_model and kind == "startupProbe":
                command = handlers.get("exec", {}).get("command")
                if command != ["/bin/sh", "-c", LOADING]:
                    yield f"{where} does not load the model: {command}"
                continue
            got = handlers.get("httpGet", {})
            if got.get("path") != (MODEL_ROUTE if workload.is_model else ROUTES[kind]) or got.get("port") not in named:
                yield f"{where} asks {got.get('path')} at {got.get('port')}"
        if workload.main.get("livenessProbe", {}).get("failureThreshold", 3) < 6:
            yield f"{workload.name}: a busy pod would be killed"


def starting(manifest: Manifest) -> Iterator[str]:
    """Models have ten minutes to load and are Ready within 2 s of it; the orchestrator waits as long; a rollout ends only after that."""
    for workload in manifest.workloads:
        probe = workload.main.get("startupProbe", {})
        window = probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10)
        commands = [one.get("command", []) for one in workload.pod.get("initContainers", [])]
        waits = [float(command[-1]) for command in commands if command[-1:] and command[-1].isdecimal()]
        if probe.get("periodSeconds", 10) > 2:
            yield f"{workload.name} is Ready up to {probe.get('periodSeconds', 10)} s late"
        if workload.is_model and window < 600:
            yield f"{workload.name} has {window} s to start"
        if max([window, *waits]) >= workload.spec.get("progressDeadlineSeconds", 600):
            yield f"{workload.name}: its rollout is given up before it started"
        if not workload.is_model and [command[:-1] for command in commands] != [["python", "final_script.py", "wait", "--timeout"]]:
            yield f"the orchestrator's init containers run {commands}"


def stopping(manifest: Manifest) -> Iterator[str]:
    """The grace period has room for the preStop pause, for a turn of the longest kind, and for an end after that."""
    for workload in manifest.workloads:
        pause = workload.main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        drain = float(environment(workload.main).get("GORK_DRAIN_TIMEOUT", "0" if workload.is_model else "30"))
        grace = workload.pod.get("terminationGracePeriodSeconds", 30)
        turn = 0.0 if workload.is_model else load_settings({}, {}).timeout
        if pause < 1 or drain < turn or pause + drain + 5 > grace:
            yield f"{workload.name}: {pause} s and {drain:g} s in {grace} s"


def rollouts(manifest: Manifest) -> Iterator[str]:
    """A model's old pod goes before the new one comes, the orchestrator's goes after; kubectl exec finds the right container."""
    for workload in manifest.workloads:
        strategy = workload.spec.get("strategy", {})
        first = {"maxSurge": 0, "maxUnavailable": 1} if workload.is_model else {"maxSurge": 1, "maxUnavailable": 0}
        if strategy.get("type") != "RollingUpdate" or strategy.get("rollingUpdate") != first:
            yield f"{workload.name}: {strategy}"
    annotations = manifest.orchestrator.spec["template"]["metadata"].get("annotations", {})
    if annotations.get("kubectl.kubernetes.io/default-container") != manifest.orchestrator.main["name"]:
        yield f"the default container is {annotations}"


def scraped(manifest: Manifest) -> Iterator[str]:
    """A Prometheus that goes by annotations finds the metrics."""
    annotations = manifest.orchestrator.spec["template"]["metadata"].get("annotations", {})
    found = {name.partition("/")[2]: value for name, value in annotations.items() if name.startswith("prometheus.io/")}
    if annotations and found != {"scrape": "true", "port": str(PORTS[ORCHESTRATOR]), "path": "/metrics"}:
        yield f"metrics are looked for by {found}"


def disruption(manifest: Manifest) -> Iterator[str]:
    """A PodDisruptionBudget lets a pod go at a time, of Deployments that have another."""
    replicas = {workload.name: workload.spec["replicas"] for workload in manifest.workloads}
    for one in manifest.of("PodDisruptionBudget"):
        if one["spec"].get("maxUnavailable") != 1 or replicas.get(one["metadata"]["name"], 0) < 2:
            yield f"{one['metadata']['name']}: {one['spec'].get('maxUnavailable')} of {replicas.get(one['metadata']['name'])}"


RULES: tuple[Rule, ...] = (
    kinds,
    enums,
    labels,
    selectors,
    ports,
    images,
    members,
    no_tags,
    same_ensemble,
    probes,
    starting,
    stopping,
    rollouts,
    scraped,
    disruption,
)
