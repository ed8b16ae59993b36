"""Restarts every pod in turn while clients ask without pause, then kills them: python -m tests.cluster.restarts [--namespace NAME].

Needs the manifest applied and rolled out, and the same GORK_TEST_KUBECONFIG as `pytest -m cluster`. Two clients ask the service by its
name from pods' side (exec'd into the orchestrator's pod they would end with it, so they run in a pod of their own: `clients`), and one
prompt asks at a pseudo-terminal exec'd into the orchestrator. What is counted for each pod that was disturbed:

    answered   turns that ended with an answer
    fewer      of those, turns in which a member was lost
    refused    turns that a stopping or full service turned away, and that were asked again
    named      turns that ended with an error that says what happened
    cut        turns whose connection ended before they did

A restart (`kubectl rollout restart`) may have nothing in the last two columns, a kill nothing in the last one; but a service that is killed
can say nothing, so that the end of the connection is what its clients then see.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import pexpect

from tests.support.kubectl import Namespace
from tests.support.model_images import MODELS

ORCHESTRATOR = "final-script"
QUESTION = "Name three rivers of Europe, and say of each in a sentence where it ends."
PROMPT = "Enter your query (or 'exit' to quit): "
# Reads the events of one turn after another from the service, and prints how each ended as one line of JSON.
CLIENT = """
import http.client, json, sys, time
while True:
    began, end, failed, last = time.time(), "cut", [], "no event"
    try:
        connection = http.client.HTTPConnection("final-script", 8080, timeout=400)
        body = {"question": %r, "options": {"num_predict": 48}, "optimize": False}
        connection.request("POST", "/api/deliberate", json.dumps(body), {"Content-Type": "application/json"})
        reply = connection.getresponse()
        if reply.status == 503:
            end = "refused"
            reply.read()
        kind = ""
        for line in reply if reply.status == 200 else ():
            if line.startswith(b"event: "):
                kind = last = line[7:].strip().decode()
            elif line.startswith(b"data: ") and kind == "finished":
                end, failed = "answered", [one["member"] for one in json.loads(line[6:])["failures"]]
            elif line.startswith(b"data: ") and kind == "broken":
                end, last = "named", json.loads(line[6:])
    except OSError as error:
        end, last = "no service" if isinstance(error, ConnectionRefusedError) else "cut", f"{last}, {error!r}"
    print(json.dumps({"end": end, "failed": failed, "seconds": round(time.time() - began, 1), "last": last}), flush=True)
    time.sleep(0.2 if end == "answered" else 1.0)
"""


@dataclass(slots=True)
class Tally:
    """How turns ended since the last disturbance; written by several threads."""

    ends: Counter[str] = field(default_factory=Counter)
    unanswered: list[str] = field(default_factory=list)
    """What was last heard in turns that were cut, and the errors of those that ended with one."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, end: str, *, fewer: bool = False) -> None:
        """Count a turn."""
        with self.lock:
            self.ends[end] += 1
            self.ends["fewer"] += fewer

    def take(self) -> Counter[str]:
        """Give the counts and begin anew."""
        with self.lock:
            ends, self.ends = self.ends, Counter()
        return ends


class Asking:
    """Two clients in a pod of their own, and a prompt at a pseudo-terminal, until it is ended."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace, self.clients, self.prompt = namespace, Tally(), Tally()
        self.told: list[str] = []
        """What prompts were told when their pod went."""
        self._over = threading.Event()
        self._threads = [
            *(threading.Thread(target=self._client, daemon=True) for _ in range(2)),
            threading.Thread(target=self._at_prompt, daemon=True),
        ]

    def begin(self) -> None:
        """Start the pod for the clients, and ask."""
        image = f"{ORCHESTRATOR}:{_release()}"
        container = {"name": "clients", "image": image, "command": ["sleep", "86400"], "imagePullPolicy": "IfNotPresent"}
        container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        secure = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "clients"}}
        pod["spec"] = {"containers": [container], "securityContext": secure, "terminationGracePeriodSeconds": 1}
        self.namespace.run("apply", "-f", "-", stdin=json.dumps(pod))
        self.namespace.run("wait", "--for=condition=Ready", "pod/clients", "--timeout=60s")
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ask no more."""
        self._over.set()
        self.namespace.run("delete", "pod", "clients", "--ignore-not-found", "--now", check=False)

    def _client(self) -> None:
        with self.namespace.following("exec", "clients", "--", "python", "-c", CLIENT % QUESTION) as lines:
            while not self._over.is_set():
                try:
                    turn = json.loads(lines.until(lambda line: line.startswith("{"), "a turn's end", 600))
                except AssertionError:
                    return
                self.clients.add(turn["end"], fewer=bool(turn["failed"]))
                if turn["end"] in {"cut", "named"}:
                    self.clients.unanswered.append(f"{turn['end']} after {turn['seconds']} s: {turn['last']}")

    def _at_prompt(self) -> None:
        """Ask at a prompt; when it is told to go, come back with the command that it names."""
        command = self.namespace.command("exec", "-it", f"deployment/{ORCHESTRATOR}", "--", "python", "final_script.py", "--no-optimize")
        while not self._over.is_set():
            child = pexpect.spawn(command[0], command[1:], encoding="utf-8", codec_errors="replace", timeout=400, dimensions=(50, 160))
            try:
                self._converse(child)
            except (pexpect.EOF, pexpect.TIMEOUT):
                going = re.search(r"this pod is being stopped[^`]*`[^`]*`", " ".join((child.before or "").split()))
                if going is not None:
                    self.told.append(going[0])
                self.prompt.add("told to go" if going is not None else "cut off")
            finally:
                child.close(force=True)
            time.sleep(0.5)

    def _converse(self, child: pexpect.spawn) -> None:
        child.expect_exact(PROMPT)
        while not self._over.is_set():
            child.send(f"{QUESTION}\r")
            child.expect("Response: ")
            fewer = child.expect_exact([PROMPT, " models answered; "])
            self.prompt.add("answered", fewer=bool(fewer))
            if fewer:
                child.expect_exact(PROMPT)


def _release() -> str:
    from gork import __version__

    return __version__


def disturb(namespace: Namespace, name: str, *, kill: bool) -> None:
    """Restart a Deployment, or kill its pod without notice, and wait until it is whole again."""
    if kill:
        pod = namespace.pods(name)[0]["metadata"]["name"]
        namespace.run("delete", "pod", pod, "--grace-period=0", "--force", check=False)
    else:
        namespace.run("rollout", "restart", f"deployment/{name}")
    namespace.rolled_out(name, seconds=400)


def main() -> int:
    """Disturb every pod in turn and print the table; returns 1 if anything was lost that may not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--quiet-s", type=float, default=10.0, help="seconds after each disturbance in which turns still count for it")
    parser.add_argument("--only", choices=(*MODELS, ORCHESTRATOR), help="this one alone")
    parser.add_argument("--no-kill", action="store_true", help="restarts alone")
    given = parser.parse_args()
    namespace, bad = Namespace(given.namespace), 0
    asking = Asking(namespace)
    asking.begin()
    columns = ("answered", "fewer", "refused", "no service", "named", "cut")
    print(f"{'disturbed':24} {'by':8} {'s':>5} " + " ".join(f"{column:>10}" for column in columns) + "   at the prompt", flush=True)
    try:
        for kill in (False,) if given.no_kill else (False, True):
            for name in [given.only] if given.only else [*MODELS, ORCHESTRATOR]:
                began = time.monotonic()
                disturb(namespace, name, kill=kill)
                time.sleep(given.quiet_s)
                ends, prompt = asking.clients.take(), asking.prompt.take()
                bad += 0 if kill and name == ORCHESTRATOR else ends["cut"]
                bad += 0 if kill else ends["named"] + ends["no service"] + prompt["cut off"]
                row = " ".join(f"{ends[column]:>10}" for column in columns)
                at_prompt = ", ".join(f"{count} {end}" for end, count in prompt.items() if count)
                print(f"{name:24} {'kill' if kill else 'restart':8} {time.monotonic() - began:5.0f} {row}   {at_prompt}", flush=True)
    finally:
        asking.end()
    for line in dict.fromkeys(asking.told):
        print(f"told: {line}")
    for line in asking.clients.unanswered:
        print(line)
    print("nothing was lost" if not bad else f"{bad} turns were lost")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
