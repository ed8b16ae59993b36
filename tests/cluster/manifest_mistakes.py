"""Mistakes that one could make in the manifest, each with the rule that is to find it: (rule, kind/name, path, what stands there)."""

from __future__ import annotations

REMOVED = object()


def put(target, path: str, value) -> None:
    """Set, or remove, what a path such as "spec.ports.0.port" leads to; @ stands for "app.kubernetes.io/"."""
    *way, last = [int(part) if part.isdecimal() else part.replace("@", "app.kubernetes.io/") for part in path.split(".")]
    for part in way:
        target = target[part]
    if value is REMOVED:
        del target[last]
    elif isinstance(target, list) and last == len(target):
        target.append(value)
    else:
        target[last] = value


POD = "spec.template.spec"
MAIN = f"{POD}.containers.0"
WAIT = f"{POD}.initContainers.0"

MISTAKES = [
    ("kinds", "Deployment/qwen", "apiVersion", "extensions/v1beta1"),
    ("kinds", "Service/qwen", "metadata.namespace", "default"),
    ("enums", "Deployment/qwen", f"{POD}.affinity.podAffinity", {"operator": "Sometimes"}),
    ("enums", "NetworkPolicy/gork-models", "spec.policyTypes", ["Ingress", "Egress", "Digress"]),
    ("enums", "Service/qwen", "spec.type", "ClusterIp"),
    ("labels", "Service/qwen", "metadata.labels", {}),
    ("labels", "Deployment/qwen", "spec.template.metadata.labels.@version", "9.9.9"),
    ("selectors", "Service/qwen", "spec.selector.@name", "llama"),
    ("selectors", "Service/qwen", "spec.selector.@name", REMOVED),
    ("selectors", "Deployment/qwen", "spec.selector.matchLabels.@name", REMOVED),
    ("selectors", "Deployment/qwen", "spec.selector.matchLabels.tier", "model"),
    ("ports", "Service/qwen", "spec.ports.0.targetPort", "http"),
    ("ports", "Service/final-script", "spec.ports.0.port", 80),
    ("ports", "Deployment/qwen", f"{MAIN}.ports.0.containerPort", 8080),
    ("images", "Deployment/qwen", f"{MAIN}.image", "qwen:latest"),
    ("images", "Deployment/qwen", f"{MAIN}.image", "qwen"),
    ("images", "Deployment/qwen", f"{MAIN}.imagePullPolicy", "Always"),
    ("images", "Deployment/final-script", f"{WAIT}.imagePullPolicy", REMOVED),
    ("probes", "Deployment/final-script", f"{MAIN}.readinessProbe.httpGet.path", "/ready"),
    ("probes", "Deployment/qwen", f"{MAIN}.livenessProbe.httpGet.path", "/api/generate"),
    ("probes", "Deployment/qwen", f"{MAIN}.livenessProbe.httpGet.port", "http"),
    ("probes", "Deployment/qwen", f"{MAIN}.livenessProbe.tcpSocket", {"port": 11434}),
    ("probes", "Deployment/qwen", f"{MAIN}.readinessProbe.timeoutSeconds", REMOVED),
    ("probes", "Deployment/qwen", f"{MAIN}.livenessProbe.failureThreshold", 1),
    ("probes", "Deployment/qwen", f"{MAIN}.startupProbe.exec.command", ["/bin/sh", "-c", "/bin/ollama", "run", "$MODEL", ""]),
    ("starting", "Deployment/qwen", f"{MAIN}.startupProbe.failureThreshold", 6),
    ("starting", "Deployment/qwen", "spec.progressDeadlineSeconds", REMOVED),
    ("starting", "Deployment/final-script", f"{WAIT}.command.4", "1800"),
    ("starting", "Deployment/final-script", f"{WAIT}.command", ["python", "final_script.py", "wait"]),
    ("stopping", "Deployment/final-script", f"{POD}.terminationGracePeriodSeconds", 300),
    ("stopping", "Deployment/qwen", f"{MAIN}.lifecycle", REMOVED),
    ("rollouts", "Deployment/qwen", "spec.strategy", {"type": "RollingUpdate"}),
    ("rollouts", "Deployment/final-script", "spec.strategy.rollingUpdate.maxSurge", 0),
    ("rollouts", "Deployment/final-script", "spec.template.metadata.annotations", REMOVED),
    ("starting", "Deployment/qwen", f"{MAIN}.startupProbe.periodSeconds", 10),
    ("memory", "Deployment/final-script", f"{MAIN}.resources.limits.memory", "512Mi"),
    ("stopping", "Deployment/final-script", f"{MAIN}.env.4.value", "30"),
    (
        "scraped",
        "Deployment/final-script",
        "spec.template.metadata.annotations",
        {"kubectl.kubernetes.io/default-container": "final-script", "prometheus.io/scrape": "true"},
    ),
    ("resources", "Deployment/qwen", f"{MAIN}.resources.requests.cpu", "2"),
    ("resources", "Deployment/qwen", f"{MAIN}.resources.limits.ephemeral-storage", REMOVED),
    ("resources", "Deployment/qwen", f"{MAIN}.resources.limits.cpu", "4x"),
    ("resources", "Deployment/final-script", f"{WAIT}.resources.requests.memory", "256Mi"),
    ("memory", "Deployment/qwen", f"{MAIN}.resources.requests.memory", "512Mi"),
    ("memory", "Deployment/llama", f"{MAIN}.resources.limits.memory", "1750Mi"),
    ("spreading", "Deployment/qwen", f"{POD}.topologySpreadConstraints.0.maxSkew", 1),
    ("spreading", "Deployment/qwen", f"{POD}.topologySpreadConstraints.0.labelSelector.matchLabels.@name", "qwen"),
    ("affinity", "Deployment/qwen", f"{POD}.affinity", {}),
    ("model_environment", "Deployment/qwen", f"{MAIN}.env.9", {"name": "LLAMA_ARG_THREADS", "value": "4"}),
    ("model_environment", "Deployment/qwen", f"{MAIN}.env.3", {"name": "OLLAMA_CONTEXT_LENGTH", "value": "2048"}),
    ("model_environment", "Deployment/qwen", f"{MAIN}.env.11", {"name": "OLLAMA_LOD_TIMEOUT", "value": "10m"}),
    ("no_tags", "Deployment/qwen", f"{MAIN}.env.11", {"name": "MODEL", "value": "other"}),
    ("no_tags", "Deployment/qwen", "metadata.annotations", {"model": "qwen2.5-coder:1.5b"}),
    ("settings", "Deployment/final-script", f"{MAIN}.env.3.name", "GORK_TRUNS"),
    ("settings", "Deployment/final-script", f"{MAIN}.env.3.value", "several"),
    ("settings", "Deployment/final-script", f"{MAIN}.env.2.value", "http://127.0.0.1:80"),
    ("settings", "Deployment/final-script", f"{WAIT}.env.1.value", "/etc/gork/ensembel.yaml"),
    ("settings", "Deployment/final-script", f"{MAIN}.env.8", {"name": "GORK_TURNS", "value": "2"}),
    ("mounts", "Deployment/qwen", f"{MAIN}.volumeMounts.2", {"name": "tmp", "mountPath": "/models"}),
    ("mounts", "Deployment/qwen", f"{MAIN}.volumeMounts.2", {"name": "tmp", "mountPath": "/"}),
    ("mounts", "Deployment/qwen", f"{MAIN}.volumeMounts.0", REMOVED),
    ("mounts", "Deployment/qwen", f"{POD}.volumes.0.emptyDir", {}),
    ("mounts", "Deployment/qwen", f"{POD}.volumes.0", {"name": "home", "hostPath": {"path": "/home"}}),
    ("restricted", "Deployment/qwen", f"{POD}.securityContext.runAsNonRoot", REMOVED),
    ("restricted", "Deployment/qwen", f"{POD}.securityContext.runAsUser", 0),
    ("restricted", "Deployment/qwen", f"{POD}.securityContext.seccompProfile", REMOVED),
    ("restricted", "Deployment/qwen", f"{POD}.hostNetwork", True),
    ("restricted", "Deployment/qwen", f"{MAIN}.securityContext.privileged", True),
    ("restricted", "Deployment/qwen", f"{MAIN}.ports.0.hostPort", 11434),
    ("restricted", "Deployment/final-script", f"{WAIT}.securityContext.allowPrivilegeEscalation", REMOVED),
    ("restricted", "Deployment/final-script", f"{WAIT}.securityContext.capabilities", {"drop": ["ALL"], "add": ["NET_RAW"]}),
    ("hardened", "Deployment/final-script", f"{WAIT}.securityContext.readOnlyRootFilesystem", REMOVED),
    ("hardened", "Deployment/qwen", f"{POD}.automountServiceAccountToken", REMOVED),
    ("hardened", "Deployment/qwen", f"{POD}.serviceAccountName", "nobody"),
    ("hardened", "Deployment/qwen", f"{POD}.enableServiceLinks", REMOVED),
    ("hardened", "Deployment/qwen", f"{POD}.securityContext.runAsUser", 1000),
    ("policies", "NetworkPolicy/gork-models", "spec.policyTypes", ["Ingress"]),
    ("policies", "NetworkPolicy/gork-models", "spec.podSelector.matchLabels.@name", "qwen"),
    ("policies", "NetworkPolicy/gork-models", "spec.ingress.0.from", REMOVED),
    ("policies", "NetworkPolicy/gork-models", "spec.ingress.0.ports.0.port", 11435),
    ("policies", "NetworkPolicy/gork-models", "spec.egress", [{"ports": [{"protocol": "TCP", "port": 443}]}]),
    ("policies", "NetworkPolicy/final-script", "spec.egress.0.ports.0.port", 8080),
    ("policies", "NetworkPolicy/final-script", "spec.egress.1.ports.1", REMOVED),
    ("policies", "NetworkPolicy/final-script", "spec.ingress", []),
]
