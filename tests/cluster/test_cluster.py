"""The manifest on a real cluster: pytest -m cluster, with GORK_TEST_KUBECONFIG and GORK_TEST_IMPORT in the environment.

GORK_TEST_KUBECONFIG names a cluster that may be used for this (one node with 2 CPUs and 7 GiB of memory will do), GORK_TEST_IMPORT the
command that takes images in on each of its nodes, for example `sudo k3s ctr images import -`. The tests make one namespace, deploy
script_final.yaml in it, and take both away again. They are one story and run in their order; what they need of it is a fixture, so that
each can be run alone. The models are small stand-ins (tests/support/cluster_images.py).
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import ollama
import pytest
import yaml

from tests.support.cluster_images import bring
from tests.support.kubectl import Namespace, restricted_namespace, skip_without_cluster
from tests.support.model_images import MODELS
from tests.support.paths import ROOT
from tests.support.pods import bytes_of
from tests.support.terminals import Terminal

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

MANIFEST = ROOT / "script_final.yaml"
NAMES = ["final-script", *MODELS]
CANDIDATES = ["qwen-small", "qwen", "llama"]
SERVICE = "deployment/final-script"
PROGRAM = ("exec", SERVICE, "--", "python", "final_script.py")
PROMPT = "Enter your query (or 'exit' to quit):"
LONG = "Write a long story about a lighthouse keeper and the sea, with many details."
"""Each stand-in writes for many seconds about it."""


@dataclass(slots=True)
class Deployed:
    """The manifest in its namespace, and what was seen while it came up."""

    namespace: Namespace
    warned: str = ""
    waits: dict[str, str] = field(default_factory=dict)
    """By the model that had just become Ready: the log of the waiting init container."""
    phases: dict[str, str] = field(default_factory=dict)
    """And how the pod final-script stood."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> None:
    """The images, in the cluster's runtime."""
    skip_without_cluster()
    began = time.monotonic()
    did = bring(tmp_path_factory.mktemp("bases"), lambda: request.getfixturevalue("starter_gguf"))
    print(f"\nimages: {did}; all imported after {time.monotonic() - began:.0f} s")


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    """A namespace that enforces the standard `restricted`."""
    skip_without_cluster()
    with restricted_namespace() as made:
        yield made


def documents() -> list[dict[str, Any]]:
    """The manifest's objects."""
    return [document for document in yaml.safe_load_all(MANIFEST.read_text()) if document]


@pytest.fixture(scope="module")
def deployed(images: None, namespace: Namespace) -> Deployed:
    """The manifest, applied: everything but the models first, then the models' Deployments one after another."""
    seen = Deployed(namespace)
    is_model = {
        name: [each for each in documents() if each["kind"] == "Deployment" and each["metadata"]["name"] == name] for name in MODELS
    }
    first = [each for each in documents() if [each] not in is_model.values()]
    seen.warned += namespace.run("apply", "-f", "-", stdin=yaml.safe_dump_all(first)).err
    began = time.monotonic()
    namespace.until(lambda: "judge: " in waiting(namespace), "the init container tells of all models")
    seen.waits[""] = waiting(namespace)
    for name, deployment in is_model.items():
        seen.warned += namespace.run("apply", "-f", "-", stdin=yaml.safe_dump_all(deployment)).err
        namespace.rolled_out(name)
        namespace.until(lambda name=name: f"{name}: ready" in waiting(namespace), f"the init container sees {name}")
        seen.waits[name] = waiting(namespace)
        seen.phases[name] = pod_phase(namespace)
    namespace.rolled_out("final-script")
    print(f"\nall pods Ready after {time.monotonic() - began:.0f} s, one model after another")
    return seen


@pytest.fixture
def whole(deployed: Deployed) -> Namespace:
    """The deployment with every pod Ready and nothing changed in it."""
    namespace = deployed.namespace
    namespace.run("apply", "-f", str(MANIFEST))
    namespace.rolled_out(*NAMES)
    return namespace


def waiting(namespace: Namespace) -> str:
    """What the init container of the newest pod final-script wrote."""
    return "".join(namespace.logs(pod["metadata"]["name"], "--container", "wait") for pod in newest_pod(namespace))


def newest_pod(namespace: Namespace) -> list[dict[str, Any]]:
    """The newest pod final-script, if there is one: the one before it serves until it is Ready."""
    return sorted(namespace.pods("final-script"), key=lambda pod: pod["metadata"]["creationTimestamp"])[-1:]


def pod_phase(namespace: Namespace) -> str:
    """The phase of the newest pod final-script: Pending as long as its init container has not ended."""
    return str(newest_pod(namespace)[0]["status"]["phase"])


def metric(namespace: Namespace, name: str) -> float:
    """One of the service's figures, 0 if it is not there yet."""
    read = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/metrics', timeout=10).read().decode())"
    text = namespace.run("exec", SERVICE, "--", "python", "-c", read).out
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def turn(namespace: Namespace, question: str, *flags: str) -> dict[str, Any]:
    """One question exec'd into the pod; returns the turn."""
    ran = namespace.run(*PROGRAM, "--json", *(flags or ("--seed", "1")), question, timeout=300)
    answered: dict[str, Any] = json.loads(ran.out)
    print(f"\n{question[:40]!r}: {answered['timings']}, won by {answered['winner']}, failures {answered['failures']}")
    return answered


@contextmanager
def in_flight(namespace: Namespace, question: str = LONG) -> Iterator[Callable[[], tuple[int, str, dict[str, Any]]]]:
    """A turn that runs beside the test, all three candidates writing; calling gives its exit code, its lines and the turn if any."""
    with namespace.following(*PROGRAM, "--json", "--seed", "1", "--no-optimize", question) as lines:
        begun = set[str]()

        def all_write(line: str) -> bool:
            if found := re.match(r"\s+(\S+): first token after", line):
                begun.add(found[1])
            return begun >= set(CANDIDATES)  # the judge writes beside them

        lines.until(all_write, "all candidates write")

        def finish() -> tuple[int, str, dict[str, Any]]:
            code, seen = lines.ended()
            ended = next((json.loads(line) for line in seen if line.startswith("{")), {})
            said = "\n".join(line for line in seen if not line.startswith("{"))
            print(f"\n{said}")
            return code, said, ended

        yield finish


# --- accepted


def test_a_restricted_namespace_takes_it_without_a_warning(deployed: Deployed):
    """The API server, which refuses and warns of pods below the standard there, says nothing about any object of the manifest."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lax"}, "spec": {"containers": [{"name": "a", "image": "judge:0.1.0"}]}}
    refused = deployed.namespace.run("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(pod), check=False)

    assert refused.code != 0
    assert 'violates PodSecurity "restricted' in refused.err
    assert deployed.warned == ""


def test_applying_it_again_changes_nothing(deployed: Deployed):
    """The whole file, as it is: everything is unchanged, and there is no difference to what the cluster has."""
    again = deployed.namespace.run("apply", "-f", str(MANIFEST))

    assert again.err == ""
    lines = again.out.splitlines()
    assert len(lines) == len(documents())
    assert [line for line in lines if not line.endswith(" unchanged")] == []
    differs = deployed.namespace.run("diff", "-f", str(MANIFEST), check=False)
    assert (differs.code, differs.out) == (0, ""), differs


def test_the_init_container_waits_and_tells_who_is_missing(deployed: Deployed):
    """Models came up one by one: until the last was Ready the pod did not start, and its log named who was missing and who came."""
    before = deployed.waits[""]
    for name in MODELS:
        assert re.search(rf"^{name}: (?!ready)\S", before, re.MULTILINE), before
    for number, name in enumerate(MODELS):
        log = deployed.waits[name]
        assert {each for each in MODELS if f"{each}: ready" in log} == set(MODELS[: number + 1])
        if number < len(MODELS) - 1:
            assert deployed.phases[name] == "Pending"
    end = waiting(deployed.namespace)
    print(end)
    assert "all 5 models are ready" in end
    for pod in deployed.namespace.pods():
        assert {"type": "Ready", "status": "True"}.items() <= next(c for c in pod["status"]["conditions"] if c["type"] == "Ready").items()


# --- used


async def test_a_conversation_typed_into_kubectl_exec(whole: Namespace):
    """On a pty: the prompt, the rows, the answer; a second question that leans on the first; Ctrl-C in mid-turn; and the session goes on.
    The pod's own log tells of those turns while they are made.
    """
    stopped, read = 'gork_turns_total{outcome="cancelled"}', 'gork_tokens_total{kind="prompt",member="qwen"}'
    before, tokens = metric(whole, stopped), [metric(whole, read)]
    with whole.following("logs", "--follow", "--since=1s", SERVICE) as log:
        async with Terminal(120, 50) as terminal:
            terminal.start(whole.command("exec", "-it", *PROGRAM[1:], "--seed", "1"), {**os.environ, "TERM": "xterm"})

            def at_prompt(answers: int = 0) -> bool:
                return bool(terminal.lines) and terminal.lines[-1] == PROMPT and terminal.text.count("\nchosen: ") == answers

            await terminal.until(at_prompt, 60)
            assert "(the service at http://127.0.0.1:8080, version " in terminal.text
            terminal.type("whats the capital of france\r")
            await terminal.until(lambda: re.search(r"^judge +waiting", terminal.text, re.MULTILINE) is not None, 60)
            await terminal.until(lambda: at_prompt(1), 120)
            tokens.append(metric(whole, read))
            assert re.search(r"^(asked as: |asked in your own words)", terminal.text, re.MULTILINE)
            assert re.search(r"^Response: .*(Paris|France)", terminal.text, re.MULTILINE)
            terminal.type("and of Italy?\r")
            await terminal.until(lambda: at_prompt(2), 120)
            tokens.append(metric(whole, read))
            assert "capital" in terminal.text.split("and of Italy?")[1]  # which the question does not say
            terminal.type(f"{LONG}\r")
            await terminal.until(lambda: re.search(r"^(qwen-small|qwen|llama) +writing", terminal.text, re.MULTILINE) is not None, 60)
            terminal.type("\x03")
            await terminal.until(lambda: "Stopped. Not added to the conversation" in terminal.text and at_prompt(2), 20)
            terminal.type("/stats\r")
            await terminal.until(lambda: "2 turns answered, 1 stopped, 0 without an answer" in terminal.text and at_prompt(2), 20)
            print(terminal.text)
            terminal.type("exit\r")
            assert await terminal.exit_code() == 0
        begins = " turn begins route=/api/deliberate client=127.0.0.1 "
        for last in ("", "messages=2"):
            log.until(lambda line, last=last: begins in line and line.endswith(last), f"the turn's beginning {last}")
            log.until(lambda line: " turn answered " in line and "winner=" in line and "answer_s=" in line, "the turn's end")
        log.until(lambda line: " client left " in line, "the stopped turn")
        print("\n".join(log.seen))
    assert tokens[2] - tokens[1] > tokens[1] - tokens[0]  # the first question and its answer were read again
    assert metric(whole, stopped) == before + 1
    assert metric(whole, 'gork_member_inflight{member="qwen"}') == 0


def test_an_ollama_client_through_port_forward(whole: Namespace):
    """`kubectl port-forward deployment/final-script`, and behind it what a client of Ollama's expects: the ensemble as one model."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with whole.following("port-forward", SERVICE, f"{port}:8080") as forward:
        forward.until(lambda line: line.startswith(f"Forwarding from 127.0.0.1:{port}"), "the port")
        client = ollama.Client(host=f"http://127.0.0.1:{port}", timeout=180)
        with closing(client._client):
            models = [model.model for model in client.list().models]
            question = [{"role": "user", "content": "What is the capital of France?"}]
            chunks = list(client.chat("gork-heavy-lite", messages=question, stream=True, options={"seed": 1}))
    assert models == ["gork-heavy-lite:latest", *(f"{name}:latest" for name in MODELS)]
    assert "Paris" in "".join(chunk.message.content or "" for chunk in chunks)
    assert any(chunk.message.thinking for chunk in chunks)
    assert [chunk.done for chunk in chunks] == [*[False] * (len(chunks) - 1), True]


def test_every_pod_stays_within_its_limits(whole: Namespace):
    """After these turns: memory below each limit, no restart, nothing killed for memory, and one thread for each model."""
    turn(whole, "What is the capital of France?")
    read = "cat /sys/fs/cgroup/memory.peak 2>/dev/null || cat /sys/fs/cgroup/memory/memory.max_usage_in_bytes"
    threads = r'for p in /proc/[0-9]*; do grep -q llama-server "$p/comm" && tr "\0" "\n" < "$p/environ" | grep ^LLAMA_ARG_; done; true'
    for pod in whole.pods():
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]
        limit = bytes_of(container["resources"]["limits"]["memory"]) / 2**20
        peak = int(whole.run("exec", name, "--", "/bin/sh", "-c", read).out) / 2**20
        print(f"{container['name']}: peak {peak:.0f} of {limit:.0f} MiB")
        assert peak < limit
        for status in pod["status"]["containerStatuses"] + pod["status"].get("initContainerStatuses", []):
            assert status["restartCount"] == 0
            assert status["lastState"] == {}
        if container["name"] in MODELS:
            found = whole.run("exec", name, "--", "/bin/sh", "-c", threads).out.split()
            assert found.count("LLAMA_ARG_THREADS=1") == 1, found
            assert "LLAMA_ARG_CACHE_RAM=0" in found
    assert [each["reason"] for each in whole.objects("events") if "OOM" in each["reason"]] == []


# --- disturbed


def test_a_model_pod_deleted_in_mid_turn(whole: Namespace):
    """The new pod is asked again while the turn runs: its answer is had, or the turn says who is missing; and the next turn has it."""
    pod = whole.pods("llama")[0]["metadata"]["name"]
    with in_flight(whole) as finish:
        whole.run("delete", "pod", pod, "--now")
        code, said, ended = finish()
    assert code == 0, said
    assert ended["answer"]
    assert "llama" in {answer["member"] for answer in ended["answers"]} or "2 of 3 models answered; failed: llama" in said
    whole.rolled_out("llama")
    assert whole.pods("llama")[0]["metadata"]["name"] != pod
    after = turn(whole, "What is the capital of France?")
    assert {answer["member"] for answer in after["answers"]} == set(CANDIDATES)


def test_a_model_restarted_with_a_turn_in_flight(whole: Namespace):
    """`kubectl rollout restart` of a model: it is asked again once its Service has an address, and no answer is lost."""
    with in_flight(whole) as finish:
        whole.run("rollout", "restart", "deployment/qwen")
        code, said, ended = finish()
    assert code == 0, said
    assert ended["answer"]
    assert {answer["member"] for answer in ended["answers"]} == set(CANDIDATES), said
    whole.rolled_out("qwen")
    assert "qwen" in {answer["member"] for answer in turn(whole, "What is the capital of France?")["answers"]}


def test_the_orchestrator_restarted_with_a_turn_in_flight(whole: Namespace):
    """`kubectl rollout restart` of the orchestrator: the turn is finished by the old pod, and the next pod answers meanwhile."""
    pod = whole.pods("final-script")[0]["metadata"]["name"]
    with whole.following("logs", "--follow", "--since=1s", pod) as log, in_flight(whole) as finish:
        began = time.monotonic()
        whole.run("rollout", "restart", SERVICE)
        code, said, ended = finish()
        log.ended()
        whole.gone(pod)
        took = time.monotonic() - began
    print("\n".join(log.seen), f"\nthe pod was gone after {took:.0f} s")
    assert code == 0, said
    assert ended["answer"]
    assert took < 330
    assert any("service stopped" in line for line in log.seen)
    whole.rolled_out("final-script")
    assert turn(whole, "What is the capital of France?")["failures"] == []


def test_a_turn_that_outlasts_the_drain_is_told_of_the_restart(whole: Namespace):
    """With a drain time-out of a second (in place of the manifest's 300) a turn in flight ends with an error that names the restart.

    The pod is deleted, which begins its end at once: a restart waits for the next pod, and a quick machine's turn is over by then.
    """
    whole.run("set", "env", SERVICE, "GORK_DRAIN_TIMEOUT=1")
    whole.rolled_out("final-script")
    whole.until(lambda: len(whole.pods("final-script")) == 1, "the pod with the old time-out is gone")
    pod = whole.pods("final-script")[0]["metadata"]["name"]
    with in_flight(whole) as finish:
        whole.run("delete", "pod", pod, "--wait=false")
        code, said, ended = finish()
    assert (code, ended) == (1, {})
    assert "is being stopped" in said


# --- mistakes


def test_a_mistake_in_the_configmap_is_told_with_its_line(whole: Namespace):
    """The pod says which line of the ensemble is wrong, and does not become Ready; with the manifest's ConfigMap it does again."""
    wrong = [each for each in documents() if each["kind"] == "ConfigMap"]
    text = wrong[0]["data"]["ensemble.yaml"].replace("judge_tokens: 800", "judge_tokens: none")
    line = next(number for number, content in enumerate(text.splitlines(), 1) if "judge_tokens: none" in content)
    wrong[0]["data"]["ensemble.yaml"] = text
    whole.run("apply", "-f", "-", stdin=yaml.safe_dump_all(wrong))
    whole.run("rollout", "restart", SERVICE)
    whole.until(lambda: "judge_tokens" in waiting(whole), "the mistake is told")
    told = waiting(whole)
    print(told)

    assert re.search(rf"\b(line {line}\b|ensemble\.yaml:{line}\b)", told), told
    assert "Traceback" not in told
    assert pod_phase(whole) == "Pending"
    whole.run("apply", "-f", str(MANIFEST))
    whole.run("delete", "pod", "--selector", "app.kubernetes.io/name=final-script", "--now")
    whole.rolled_out("final-script")


def test_without_one_model_it_waits_and_then_serves_with_the_rest(whole: Namespace):
    """A model that is not there is named by the waiting init container; at its deadline (20 s in place of the manifest's 900) the rest
    serves, and a turn says who is missing.
    """
    pod = whole.pods("llama")[0]["metadata"]["name"]
    whole.run("scale", "deployment/llama", "--replicas=0")
    whole.gone(pod)
    sooner = [{"op": "replace", "path": "/spec/template/spec/initContainers/0/command/4", "value": "20"}]
    whole.run("patch", SERVICE, "--type=json", "--patch", json.dumps(sooner))
    whole.until(lambda: "llama: " in waiting(whole) and "at most 20 s" in waiting(whole), "the wait for llama")
    assert pod_phase(whole) == "Pending"
    whole.rolled_out("final-script")
    told = waiting(whole)
    print(told)
    assert "llama: ready" not in told
    assert "after 20 s 1 of 5 models are missing; continuing without them" in told
    assert re.search(r"^  llama: .*the other candidates answer", told, re.MULTILINE)
    ended = turn(whole, "What is the capital of France?")
    assert [failure["member"] for failure in ended["failures"]] == ["llama"]
    assert ended["answer"]


# --- scaled


def test_replicas_share_the_load(whole: Namespace):
    """deploy/overlays/scale, with smaller CPU requests so that eight models fit on two cores: six turns, two at a time, are all answered by
    all, and a Service of two replicas sends requests to both. One that has instructions reads them beforehand, which is a request, too.
    """
    scaled = list(yaml.safe_load_all(whole.run("kustomize", str(ROOT / "deploy" / "overlays" / "scale")).out))
    for each in scaled:
        if each["kind"] == "Deployment":
            each["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "100m"
    manifest = yaml.safe_dump_all(scaled)
    whole.run("apply", "-f", "-", stdin=manifest)
    whole.rolled_out(*MODELS)
    whole.run("rollout", "restart", SERVICE)  # it reads the overlay's ensemble when it starts
    whole.rolled_out("final-script")
    with ThreadPoolExecutor(2) as two:
        turns = list(two.map(lambda number: turn(whole, "What is the capital of France?", "--seed", str(number)), range(6)))
    assert [ended["failures"] for ended in turns] == [[]] * 6
    shares = {name: [whole.logs(pod["metadata"]["name"]).count('"/api/chat"') for pod in whole.pods(name)] for name in CANDIDATES}
    print(shares)
    assert [(len(counts), sum(counts) >= 6) for counts in shares.values()] == [(2, True)] * 3
    assert any(min(counts) > 0 for counts in shares.values())  # drawn for each connection: hardly ever the same six times in all three
    whole.run("delete", "-f", "-", "--wait=true", stdin=manifest)
    for pod in whole.objects("pods"):
        whole.gone(pod["metadata"]["name"])


# --- taken away


def test_deleting_it_leaves_nothing(deployed: Deployed):
    """`kubectl delete -f` takes away every object and every pod: what is left is what a new namespace has."""
    namespace = deployed.namespace
    namespace.run("apply", "-f", str(MANIFEST))
    namespace.run("delete", "-f", str(MANIFEST), "--timeout=120s", timeout=180)
    kinds = namespace.run("api-resources", "--namespaced", "--verbs=list", "--output=name").out.split()
    listed = ",".join(kind for kind in kinds if not kind.startswith("events"))

    def left() -> list[str]:
        found = namespace.run("get", listed, "--ignore-not-found", "--output=name").out.split()
        return [name for name in found if name not in {"configmap/kube-root-ca.crt", "serviceaccount/default"}]

    namespace.until(lambda: left() == [], "nothing is left")
