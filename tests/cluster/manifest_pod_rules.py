"""What must be true of each pod of the cluster's manifest: placement, resources, environment, mounts, security, network policies."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gork.config.settings import load_settings
from gork.errors import ConfigError
from tests.cluster.manifest_objects import Manifest, Object, Workload, environment, quantity, selects
from tests.cluster.manifest_rules import PORTS, Rule, ensemble_of

MEASURED_MIB = {"promptimizer": 849, "qwen-small": 1000, "qwen": 1184, "llama": 1523, "judge": 945}
"""Resident memory of the shipped models at a context of 4096 tokens after a long prompt, without a prompt cache."""
KV_MIB = {"promptimizer": 112, "qwen-small": 448, "qwen": 112, "llama": 128, "judge": 38}
"""What each more request at a time takes of it."""

SERVICE_MIB, PROMPT_MIB, PROGRAMS_MIB = 33, 38, 128
"""The service, each exec'd prompt, and two programs at their limit."""

MODEL_ENVIRONMENT = {
    "OLLAMA_HOST": "0.0.0.0:11434",
    "OLLAMA_MODELS": "/models",
    "HOME": "/home/ollama",
    "OLLAMA_MAX_LOADED_MODELS": "1",
    "OLLAMA_KEEP_ALIVE": "-1",
    "OLLAMA_NOPRUNE": "1",
    "OLLAMA_NO_CLOUD": "1",
    "LLAMA_ARG_THREADS": "1",
    "LLAMA_ARG_CACHE_RAM": "0",
}
RESOURCES = ("cpu", "memory", "ephemeral-storage")


def resources(manifest: Manifest) -> Iterator[str]:
    """Every container says what it needs and what it may take; an init container needs no more than what follows it."""
    for where, container in manifest.containers():
        given = container.get("resources", {})
        for name in RESOURCES:
            try:
                request, limit = (quantity(given[side][name]) for side in ("requests", "limits"))
            except (KeyError, ArithmeticError):
                yield f"{where}: {name} is {[given.get(side, {}).get(name) for side in ('requests', 'limits')]}"
                continue
            if not 0 < request <= limit:
                yield f"{where}: requests {request} of {name}, limited to {limit}"
    for workload in manifest.workloads:
        for first in workload.pod.get("initContainers", []):
            needs, main = first["resources"]["requests"], workload.main["resources"]["requests"]
            if any(quantity(needs[name]) > quantity(main[name]) for name in needs):
                yield f"{workload.name}/{first['name']} needs more than what follows it"


def memory(manifest: Manifest) -> Iterator[str]:
    """A model requests what it was measured to use and 15 % (to the next 10 Mi), and its limit has room for it; so has that of prompts."""
    for workload in manifest.models:
        parallel = int(environment(workload.main).get("OLLAMA_NUM_PARALLEL", 1))
        used = MEASURED_MIB[workload.name] + (parallel - 1) * KV_MIB[workload.name]
        request, limit = (quantity(workload.main["resources"][side]["memory"]) / 2**20 for side in ("requests", "limits"))
        if abs(request - round(used * 1.15)) > 10 or limit < used * 1.15:
            yield f"{workload.name}: {request} Mi requested, limited to {limit} Mi, and it uses {used}"
    main = manifest.orchestrator.main
    prompts = int(environment(main).get("GORK_PROMPTS", "0")) if environment(main).get("GORK_PROMPTS", "0").isdecimal() else 0
    used = SERVICE_MIB + (prompts + 1) * PROMPT_MIB + PROGRAMS_MIB
    limit = quantity(main["resources"]["limits"]["memory"]) / 2**20
    if not prompts or limit < used:
        yield f"{prompts} prompts and the service use {used} of {limit} Mi"


def spreading(manifest: Manifest) -> Iterator[str]:
    """Models are spread over all of them, replicas of one over their own; both weaker than the wish to keep the control plane empty."""
    single = [workload for workload in manifest.models if workload.spec["replicas"] == 1]
    if any(one.pod.get("topologySpreadConstraints") != single[0].pod.get("topologySpreadConstraints") for one in single):
        yield "the models differ in how they are spread"
    for workload in manifest.models:
        blocks = workload.pod.get("topologySpreadConstraints") or []
        over, least = (manifest.models, 5) if workload in single else ([workload], 4)
        if len(blocks) != 1:
            yield f"{workload.name} has {len(blocks)} constraints"
        for block in blocks:
            found = [one.name for one in manifest.workloads if selects(block["labelSelector"]["matchLabels"], one.labels)]
            if sorted(found) != sorted(one.name for one in over) or "matchLabelKeys" in block:
                yield f"{found} are counted"
            if block["maxSkew"] < least or block["whenUnsatisfiable"] != "ScheduleAnyway" or block.get("nodeTaintsPolicy") != "Honor":
                yield f"{block} may put a model on the control plane"
            if block["topologyKey"] != "kubernetes.io/hostname":
                yield f"spread over {block['topologyKey']}"


def affinity(manifest: Manifest) -> Iterator[str]:
    """Every pod prefers, or needs, a node that is no control plane; what counts is whether the label is there."""
    want = [{"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"}]
    for workload in manifest.workloads:
        given = workload.pod.get("affinity", {}).get("nodeAffinity", {})
        preferred = given.get("preferredDuringSchedulingIgnoredDuringExecution", [])
        required = given.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", [])
        prefers = [(term["weight"], term["preference"].get("matchExpressions")) for term in preferred] == [(100, want)]
        if prefers == ([term.get("matchExpressions") for term in required] == [want]):
            yield f"{workload.name}: {given}"


def model_environment(manifest: Manifest) -> Iterator[str]:
    """Ollama is set up for its limits: one thread, no prompt cache, one model, and a context as long as the ensemble's."""
    ensemble = ensemble_of(manifest)
    if ensemble is None:
        return
    context = str(ensemble.context)
    for workload in manifest.models:
        wanted = {**MODEL_ENVIRONMENT, "OLLAMA_CONTEXT_LENGTH": context, "OLLAMA_NUM_PARALLEL": str(workload.spec["replicas"])}
        given = environment(workload.main)
        differ = {name for name in given.keys() | wanted.keys() if name != "MODEL" and given.get(name) != wanted.get(name)}
        yield from (f"{workload.name}: {name} is {given.get(name)}, not {wanted.get(name)}" for name in sorted(differ))


def settings(manifest: Manifest) -> Iterator[str]:
    """The program starts with the environment that it gets, and finds the ensemble where the environment says."""
    for workload in manifest.workloads:
        for container in workload.containers:
            given = environment(container)
            where = f"{workload.name}/{container['name']}"
            if len({one["name"] for one in container.get("env", [])}) != len(container.get("env", [])):
                yield f"{where}: a variable is given twice"
            if workload.is_model:
                continue
            with tempfile.TemporaryDirectory() as folder:
                _place_files(manifest, workload, container, Path(folder))
                try:
                    loaded = load_settings({}, {**given, "GORK_ENSEMBLE": folder + given.get("GORK_ENSEMBLE", "")})
                except ConfigError as error:
                    yield f"{where}: {error}"
                    continue
            port = PORTS[workload.name]
            if container is workload.main and (loaded.server, loaded.port) != (f"http://127.0.0.1:{port}", port):
                yield f"{where}: an exec'd prompt asks {loaded.server}"


def _place_files(manifest: Manifest, workload: Workload, container: Object, root: Path) -> None:
    """Put the ConfigMaps that a container mounts into their places below `root`."""
    maps = {one["metadata"]["name"]: one["data"] for one in manifest.of("ConfigMap")}
    sources = {one["name"]: one["configMap"]["name"] for one in workload.pod.get("volumes", []) if "configMap" in one}
    for mount in container.get("volumeMounts", []):
        place = root / mount["mountPath"].lstrip("/")
        place.mkdir(parents=True)
        for name, text in maps.get(sources.get(mount["name"], ""), {}).items():
            (place / name).write_text(text)


def mounts(manifest: Manifest) -> Iterator[str]:
    """Every volume is used, what is written has a place of bounded size, and nothing hides the model in the image."""
    for workload in manifest.workloads:
        volumes = {one["name"]: one for one in workload.pod.get("volumes", [])}
        used = {mount["name"] for container in workload.containers for mount in container.get("volumeMounts", [])}
        if used != volumes.keys():
            yield f"{workload.name} mounts {sorted(used)} of {sorted(volumes)}"
        for name, volume in volumes.items():
            if volume.keys() - {"name"} - {"emptyDir", "configMap", "persistentVolumeClaim"} or (
                "emptyDir" in volume and not (volume["emptyDir"] or {}).get("sizeLimit")
            ):
                yield f"{workload.name}: volume {name} is {volume}"
        for container in workload.containers:
            places = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
            writable = {place for place, mount in places.items() if not mount.get("readOnly")}
            if not {environment(container).get("HOME"), "/tmp"} <= writable:  # noqa: S108 - in a container
                yield f"{workload.name}/{container['name']} cannot write to its home or to /tmp"
            weights = PurePosixPath("/models")
            if workload.is_model and any(weights.is_relative_to(place) or PurePosixPath(place).is_relative_to(weights) for place in places):
                yield f"{workload.name}: the model in the image is hidden"


def restricted(manifest: Manifest) -> Iterator[str]:
    """Every pod and container, init containers too, is what the restricted Pod Security Standard asks for."""
    for workload in manifest.workloads:
        pod = workload.pod.get("securityContext", {})
        if any(workload.pod.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{workload.name} shares the node's namespaces"
        for container in workload.containers:
            own = container.get("securityContext", {})
            merged = {**pod, **own}
            wanted = {
                "runAsNonRoot": merged.get("runAsNonRoot") is True,
                "runAsUser": merged.get("runAsUser", 0) != 0,
                "seccompProfile": merged.get("seccompProfile", {}).get("type") == "RuntimeDefault",
                "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
                "capabilities": own.get("capabilities") == {"drop": ["ALL"]},
                "privileged": not own.get("privileged", False),
                "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
            }
            yield from (f"{workload.name}/{container['name']}: {name}" for name, good in wanted.items() if not good)


def hardened(manifest: Manifest) -> Iterator[str]:
    """Beyond that: no token, no variables of other Services, a read-only root, an account that exists, a user of no machine."""
    accounts = {one["metadata"]["name"] for one in manifest.of("ServiceAccount") if one.get("automountServiceAccountToken") is False}
    for workload in manifest.workloads:
        pod = workload.pod
        context = pod.get("securityContext", {})
        if pod.get("automountServiceAccountToken") is not False or pod.get("serviceAccountName") not in accounts:
            yield f"{workload.name} has a token or no account"
        if pod.get("enableServiceLinks") is not False:
            yield f"{workload.name} gets variables of other Services"
        if {context.get(name) for name in ("runAsUser", "runAsGroup", "fsGroup")} - {65532, 0, None}:
            yield f"{workload.name} runs as another user than its image is made for"
        if context.get("runAsGroup") != 65532 or context.get("fsGroup") != 65532:
            yield f"{workload.name} has another group than its image is made for"
        for container in workload.containers:
            if container.get("securityContext", {}).get("readOnlyRootFilesystem") is not True:
                yield f"{workload.name}/{container['name']} can write to its root"


def policies(manifest: Manifest) -> Iterator[str]:
    """Every pod is covered both ways; models are reached from the orchestrator alone and reach nobody; it finds names by UDP and TCP."""
    orchestrator = manifest.orchestrator
    for workload in manifest.workloads:
        covering = [
            one["spec"] for one in manifest.of("NetworkPolicy") if selects(one["spec"]["podSelector"]["matchLabels"], workload.labels)
        ]
        covered = {kind for spec in covering for kind in spec["policyTypes"]}
        if not {"Ingress", "Egress"} <= covered:
            yield f"{workload.name} is covered for {sorted(covered)} only"
        ingress = [rule for spec in covering for rule in spec.get("ingress") or []]
        egress = [rule for spec in covering for rule in spec.get("egress") or []]
        if [_ports(rule) for rule in ingress] != [{("TCP", PORTS[workload.name])}]:
            yield f"{workload.name} lets {ingress} in"
        if workload.is_model:
            peers = [peer for rule in ingress for peer in rule.get("from", [{}])]
            if len(peers) != 1 or not _peer_is(peers[0], orchestrator, manifest):
                yield f"{workload.name} is reached by {peers}"
            if egress:
                yield f"{workload.name} reaches {egress}"
            if not any(_peer_is(peer, workload, manifest) and _ports(rule) == {("TCP", 11434)} for peer, rule in _peers(manifest)):
                yield f"{workload.name} is not reached by the orchestrator"
    names = [_ports(rule) for peer, rule in _peers(manifest) if "namespaceSelector" in peer]
    if names != [{("UDP", 53), ("TCP", 53)}]:
        yield f"names are looked up by {names}"


def _ports(rule: Object) -> set[tuple[str, int]]:
    return {(port["protocol"], port["port"]) for port in rule.get("ports", [])}


def _peers(manifest: Manifest) -> Iterator[tuple[Object, Object]]:
    """Whom the orchestrator may reach, each with the rule that says so."""
    for one in manifest.of("NetworkPolicy"):
        if selects(one["spec"]["podSelector"]["matchLabels"], manifest.orchestrator.labels):
            for rule in one["spec"].get("egress") or []:
                yield from ((peer, rule) for peer in rule.get("to", []))


def _peer_is(peer: Object, workload: Workload, manifest: Manifest) -> bool:
    """Whether a peer in this namespace is this workload, and none of another component."""
    if peer.keys() != {"podSelector"}:
        return False
    found = [one for one in manifest.workloads if selects(peer["podSelector"]["matchLabels"], one.labels)]
    return any(one.name == workload.name for one in found) and all(one.is_model == workload.is_model for one in found)


POD_RULES: tuple[Rule, ...] = (
    resources,
    memory,
    spreading,
    affinity,
    model_environment,
    settings,
    mounts,
    restricted,
    hardened,
    policies,
)
