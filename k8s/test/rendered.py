#!/usr/bin/env python3
"""Holds what the schemas cannot say of the manifests: rendered.py KUSTOMIZE K8S RENDERED.yaml...

Of each overlay: every image has a tag or a digest; production runs three replicas of every service; what an autoscaler scales names no
number of its own. Of each patch with a target: it changes something, since kustomize takes a target that selects nothing without a word.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import yaml


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first where yaml was built with libyaml


def objects(text):
    return [o for o in yaml.load_all(text, Loader=LOADER) if o]


def wrong_in(name, text, services):
    docs = objects(text)
    deployments = {o["metadata"]["name"]: o for o in docs if o["kind"] == "Deployment"}
    scaled = [o["spec"]["scaleTargetRef"]["name"] for o in docs if o["kind"] == "ScaledObject"]
    for target in scaled:
        if target not in deployments:
            yield f"{name}: nothing is named {target}, which a ScaledObject scales"
        elif "replicas" in deployments[target]["spec"]:
            yield f"{name}: Deployment {target} has replicas: each apply would undo what the autoscaler did"
    if scaled and sorted(scaled) != services:
        yield f"{name}: scales {sorted(scaled)}, the services are {services}"
    if name == "production":
        for service in services:
            if deployments[service]["spec"].get("replicas") != 3:
                yield f"{name}: {service} has {deployments[service]['spec'].get('replicas')} replicas, not 3"
    if name.startswith("component-"):
        return
    for o in docs:
        pod = o.get("spec", {}).get("template", {}).get("spec", {}) if o["kind"] in ("Deployment", "StatefulSet") else {}
        for container in pod.get("containers", []) + pod.get("initContainers", []):
            if ":" not in container["image"].rsplit("/", 1)[-1]:
                yield f"{name}: {o['metadata']['name']} runs {container['image']}, without a tag"


def build(kustomize, folder):
    return subprocess.run([kustomize, "build", folder], check=True, capture_output=True, text=True).stdout


def idle_patches(kustomize, k8s):
    """Takes out each patch that has a target, one at a time: what is rendered must differ."""
    with tempfile.TemporaryDirectory() as work:
        copy = os.path.join(work, "k8s")
        shutil.copytree(k8s, copy, ignore=shutil.ignore_patterns("rendered"))
        for folder, _, files in sorted(os.walk(copy)):
            if "kustomization.yaml" not in files:
                continue
            path = os.path.join(folder, "kustomization.yaml")
            with open(path, encoding="utf-8") as f:
                text = f.read()
            content = yaml.safe_load(text)
            targeted = [i for i, patch in enumerate(content.get("patches", [])) if "target" in patch]
            if not targeted:
                continue
            subject = folder
            if content["kind"] == "Component":
                subject = tempfile.mkdtemp(dir=work)
                with open(os.path.join(subject, "kustomization.yaml"), "w", encoding="utf-8") as f:
                    yaml.safe_dump({"resources": ["../k8s/base"], "components": [os.path.relpath(folder, subject)]}, f)
            whole = build(kustomize, subject)
            for i in targeted:
                without = dict(content, patches=[p for j, p in enumerate(content["patches"]) if j != i])
                with open(path, "w", encoding="utf-8") as f:
                    yaml.safe_dump(without, f)
                if build(kustomize, subject) == whole:
                    yield f"{os.path.relpath(path, copy)}: the patch of {content['patches'][i]['target']} changes nothing"
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)


def main():
    kustomize, k8s, *rendered = sys.argv[1:]
    services = sorted(f[:-5] for f in os.listdir(os.path.join(k8s, "base")) if f != "kustomization.yaml")
    wrong = list(idle_patches(kustomize, k8s))
    for path in rendered:
        with open(path, encoding="utf-8") as f:
            wrong += wrong_in(os.path.basename(path)[:-5], f.read(), services)
    for line in wrong:
        print(f"k8s-check: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
