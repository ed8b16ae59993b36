"""The cluster's manifest and its overlays: schemas, linters, and the rules that neither knows. No cluster and no network is needed."""

from __future__ import annotations

import copy
import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from msgspec.structs import replace

from gork import __version__
from gork.config.ensemble import load_ensemble, read_ensemble, with_members
from tests.cluster.manifest_mistakes import MISTAKES, put
from tests.cluster.manifest_objects import MANIFEST, MODELS, ORCHESTRATOR, OVERLAYS, Manifest, Object, documents, environment
from tests.cluster.manifest_pod_rules import MEASURED_MIB, POD_RULES
from tests.cluster.manifest_rules import REGISTRY, RULES
from tests.support.paths import ROOT

ALL = (*RULES, *POD_RULES)
VARIANTS = ("script_final", "volume", "strict", "scale", "ingress", "registry")
VERSIONS = tuple(sorted({int(version.split(".")[1]) for version in kubernetes_validate.utils.all_versions()} & set(range(29, 100))))
WAIVERS = ROOT / ".checkov.yaml"


@functools.cache
def rendered(variant: str) -> str:
    """The manifest itself, with what is commented out in it for a volume, or what an overlay makes of it."""
    if variant == "script_final":
        return MANIFEST.read_text()
    if variant == "volume":
        return MANIFEST.read_text().replace("# | ", "")
    program = next((found for name in ("kubectl", "kustomize") if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("neither kubectl nor kustomize on PATH: the overlays cannot be rendered")
    verb = "kustomize" if Path(program).name == "kubectl" else "build"
    made = subprocess.run([program, verb, str(OVERLAYS / variant)], capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    return made.stdout


def manifest(variant: str = "script_final") -> Manifest:
    """The objects of a variant, to be changed at will."""
    return Manifest(copy.deepcopy(_parsed(variant)))


@functools.cache
def _parsed(variant: str) -> list[Object]:
    return documents(rendered(variant))


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_manifest_and_its_overlays_keep_every_rule(variant, rule):
    """Each rule (its docstring says which) finds nothing wrong."""
    assert list(rule(manifest(variant))) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_has_the_schema_of_every_bundled_version(version):
    """No field is misspelt or of the wrong type, in any version from 1.29 on, for the manifest and both overlays."""
    assert len(VERSIONS) >= 8
    for variant in VARIANTS if version in {VERSIONS[0], VERSIONS[-1]} else VARIANTS[:1]:
        for one in manifest(variant).objects:
            kubernetes_validate.validate(one, f"1.{version}", strict=True)


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        (("Deployment", "qwen", "spec.replicsa"), 1, kubernetes_validate.ValidationError),
        (("Deployment", "qwen", "spec.replicas"), "one", kubernetes_validate.ValidationError),
        (("Service", "qwen", "kind"), "Servise", kubernetes_validate.SchemaNotFoundError),
    ],
)
def test_the_schemas_refuse_a_misspelt_field_a_wrong_type_and_an_unknown_kind(place, value, error):
    """What the check of the schemas is for does fail it; the command line of the same checker lets unknown kinds pass."""
    changed = manifest()
    kind, name, path = place
    object_ = next(one for one in changed.of(kind) if one["metadata"]["name"] == name)
    put(object_, path, value)

    with pytest.raises(error):
        kubernetes_validate.validate(object_, f"1.{VERSIONS[-1]}", strict=True)


def complaints(changed: Manifest) -> dict[str, list[str]]:
    """What each rule that finds something finds."""
    return {rule.__name__: found for rule in ALL if (found := list(rule(changed)))}


@pytest.mark.parametrize(("rule", "where", "path", "value"), MISTAKES)
def test_a_mistake_is_found_by_the_rule_that_is_for_it_and_by_no_other(rule, where, path, value):
    """Each rule can fail, and one wrong place is told once, in its own terms."""
    changed = manifest()
    kind, name = where.split("/")
    put(next(one for one in changed.of(kind) if one["metadata"]["name"] == name), path, value)

    assert list(complaints(changed)) == [rule]


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        ("members", "url: http://qwen:11434", "url: http://qwenn:11434"),
        ("members", "url: http://qwen:11434", "url: http://qwen:11435"),
        ("no_tags", "url: http://qwen:11434", "url: http://qwen:11434\n    model: other"),
        ("same_ensemble", "temperature: 0.5", "temperature: 0.6"),
        ("same_ensemble", "prior: [qwen, llama, qwen-small]", "prior: [llama, qwen, qwen-small]"),
        ("same_ensemble", "url: http://qwen:11434", "url: http://qwen:11434\n    parallel: 2"),
        ("same_ensemble", "You never answer them.", "You may answer them."),
    ],
)
def test_a_mistake_in_the_ensemble_is_found_by_the_rule_that_is_for_it(rule, old, new):
    """The ensemble in the ConfigMap is read as the program reads it, and compared."""
    changed = manifest()
    assert changed.ensemble.count(old) == 1
    changed.of("ConfigMap")[0]["data"]["ensemble.yaml"] = changed.ensemble.replace(old, new)

    assert list(complaints(changed)) == [rule]


def test_an_ensemble_that_cannot_be_read_is_told_with_its_line():
    """The rule of the settings starts the program on it, so its finding is what the pod's log would say."""
    changed = manifest()
    changed.of("ConfigMap")[0]["data"]["ensemble.yaml"] = changed.ensemble.replace("candidates:", "candidats:")

    found = complaints(changed)["settings"]

    assert any("ensemble.yaml:" in line and 'candidats: unknown key, did you mean "candidates"?' in line for line in found)


def test_a_budget_for_the_only_pod_is_found():
    """Such a budget would keep a node from being drained."""
    changed = manifest("scale")
    next(one for one in changed.workloads if one.name == "qwen").spec["replicas"] = 1

    assert "disruption" in complaints(changed)


def test_every_rule_has_a_mistake_that_it_finds():
    """No rule is there that was not seen to fail."""
    in_ensemble_or_scale = {"members", "same_ensemble", "disruption"}

    assert {rule.__name__ for rule in ALL} == {rule for rule, *_ in MISTAKES} | in_ensemble_or_scale


def test_a_key_that_is_given_twice_is_an_error():
    """YAML would silently take the last one; so both the rules' reader and yamllint refuse it."""
    text = rendered("script_final").replace("  replicas: 1\n", "  replicas: 1\n  replicas: 2\n", 1)

    with pytest.raises(yaml.YAMLError, match="given twice: replicas"):
        documents(text)


def test_the_models_differ_in_nothing_but_name_and_memory():
    """Five Deployments are one, so that a change to one of them is a change to all."""

    def anonymous(name: str) -> str:
        (workload,) = [one for one in manifest().models if one.name == name]
        workload.main["resources"]["requests"]["memory"] = "X"
        return json.dumps(workload.object).replace(f'"{name}"', '"X"').replace(f'"{name}:', '"X:')

    assert len({anonymous(name) for name in MODELS}) == 1
    assert sorted(MEASURED_MIB) == sorted(MODELS)


def test_the_manifest_at_the_top_is_the_base_of_the_overlays():
    """There is one manifest, in two copies that are equal; neither is a link, which a raw download and some checkouts would break."""
    copy = ROOT / "deploy" / "base" / "script_final.yaml"

    assert MANIFEST.read_bytes() == copy.read_bytes(), "cp script_final.yaml deploy/base/"
    assert not MANIFEST.is_symlink()
    assert not copy.is_symlink()


def test_with_a_volume_conversations_have_a_place_that_lasts():
    """The lines that are commented out name one claim, mount it where GORK_DATA says, and change nothing else."""
    (claim,) = manifest("volume").of("PersistentVolumeClaim")
    pod = manifest("volume").orchestrator

    assert environment(pod.main)["GORK_DATA"] == "/data"
    assert {"name": "data", "mountPath": "/data"} in pod.main["volumeMounts"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}} in pod.pod["volumes"]
    assert len(manifest("volume").objects) == len(manifest().objects) + 1


def test_the_ingress_leads_to_the_service_over_tls():
    """By its name and its port's name."""
    (ingress,) = manifest("ingress").of("Ingress")
    service = next(one for one in manifest().of("Service") if one["metadata"]["name"] == ORCHESTRATOR)
    (rule,) = ingress["spec"]["rules"]
    backend = rule["http"]["paths"][0]["backend"]["service"]

    assert backend == {"name": service["metadata"]["name"], "port": {"name": service["spec"]["ports"][0]["name"]}}
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]


def test_with_a_registry_every_image_comes_from_it():
    """All six, and nothing else differs."""
    wanted = {f"{REGISTRY}{container['image']}" for _, container in manifest().containers()}

    assert {container["image"] for _, container in manifest("registry").containers()} == wanted
    assert len(wanted) == 6


def test_strict_needs_another_node_than_a_control_plane():
    """The overlay turns every pod's preference into a requirement, and leaves the rest as it is."""
    strict, plain = manifest("strict"), manifest()
    for one in strict.workloads:
        required = one.pod["affinity"]["nodeAffinity"].pop("requiredDuringSchedulingIgnoredDuringExecution")
        assert required["nodeSelectorTerms"][0]["matchExpressions"][0]["operator"] == "DoesNotExist"
        assert one.pod["affinity"]["nodeAffinity"] == {}
    for one in plain.workloads:
        one.pod["affinity"]["nodeAffinity"].clear()

    def by_name(one: dict) -> tuple[str, str]:
        return one["kind"], one["metadata"]["name"]

    assert sorted(strict.objects, key=by_name) == sorted(plain.objects, key=by_name)


def test_scale_has_two_of_each_candidate_and_asks_two_things_of_it_at_a_time():
    """Its ensemble is the manifest's, but for the requests that a candidate gets at a time."""
    scale = manifest("scale")
    candidates = {member.name for member in load_ensemble("heavy-lite").candidates}

    assert {one.name: one.spec["replicas"] for one in scale.workloads} == {
        name: 2 if name in candidates else 1 for name in (*MODELS, ORCHESTRATOR)
    }
    assert {one["metadata"]["name"] for one in scale.of("PodDisruptionBudget")} == candidates
    mine, base = (read_ensemble(one.ensemble, "ensemble.yaml") for one in (scale, manifest()))
    assert mine == with_members(base, lambda member: replace(member, parallel=2 if member.name in candidates else 1))


def test_yamllint_finds_nothing():
    """The settings beside the manifest say what it is held to."""
    paths = ["script_final.yaml", "deploy", ".yamllint", ".checkov.yaml"]
    ran = subprocess.run([sys.executable, "-m", "yamllint", "--strict", *paths], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout) == (0, "")


def test_checkov_finds_only_what_is_waived_in_writing(tmp_path):
    """Of its policies exactly those fail that the waivers name, each with its reason; no waiver is there for nothing."""
    if shutil.which("checkov") is None:
        pytest.skip("no `checkov` on PATH; it pins dozens of packages, so it wants an environment of its own (pipx install checkov)")
    for variant in VARIANTS:
        (tmp_path / f"{variant}.yaml").write_text(rendered(variant))
    flags = ["--framework", "kubernetes", "--skip-download", "--soft-fail", "--compact", "--output", "json", "--directory", "."]
    ran = subprocess.run(["checkov", *flags], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
    report = json.loads(ran.stdout)

    failed = {check["check_id"] for check in report["results"]["failed_checks"]}

    assert {check["file_path"] for check in report["results"]["passed_checks"]} == {f"/{variant}.yaml" for variant in VARIANTS}
    assert report["summary"]["parsing_errors"] == 0
    assert failed == set(yaml.safe_load(WAIVERS.read_text())["skip-check"])


def planned(*words: str) -> list[str]:
    """The commands that `make` would run."""
    if shutil.which("make") is None:
        pytest.skip("no `make` on PATH")
    ran = subprocess.run(["make", "--no-print-directory", "--dry-run", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()


def test_make_builds_and_imports_the_images_that_the_manifest_runs():
    """Names and tags agree; each image has a Dockerfile of its name; they travel in one stream."""
    wanted = [container["image"] for _, container in manifest().containers()]
    builds = [line.split() for line in planned("images")]

    assert {build[-2] for build in builds} == set(wanted)
    assert [build[3] for build in builds] == [f"Dockerfile.{build[-2].partition(':')[0].replace('-', '_')}" for build in builds]
    (stream,) = planned("import")
    save, _, taken = stream.partition(" | ")
    assert sorted(save.split()[2:]) == sorted(set(wanted))
    assert taken == "sudo k3s ctr images import -"


def test_make_pushes_what_the_registrys_overlay_runs():
    """`make push up REGISTRY=...`: the images under that name, and the overlay with it; without a name nothing is pushed."""
    pushed, up = planned("push", "REGISTRY=r.example/x"), planned("up", "REGISTRY=r.example/x")
    ran = subprocess.run(["make", "push"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert all(f" {name}:{__version__}" in pushed[-1] for name in (*MODELS, ORCHESTRATOR))
    assert "docker push r.example/x/$image" in pushed[-1]
    assert up[0] == f"kubectl kustomize deploy/overlays/registry | sed 's#{REGISTRY}#r.example/x/#' | kubectl apply -f -"
    assert ran.returncode != 0


def test_make_up_and_down_are_what_one_would_type():
    """They apply and delete the one manifest; up ends when everything is rolled out."""
    up, down = planned("up"), planned("down")

    assert up[0] == "kubectl apply -f script_final.yaml"
    assert up[1].startswith("kubectl rollout status deployment --selector app.kubernetes.io/part-of=gork-heavy-lite --timeout=")
    assert down == ["kubectl delete --ignore-not-found -f script_final.yaml"]


def test_the_release_is_said_in_no_other_form():
    """All tags and version labels are the program's own version, also in what the rules do not look at."""
    text = rendered("script_final")

    assert text.count(__version__) == text.count(f'version: "{__version__}"') + text.count(f":{__version__}\n")
