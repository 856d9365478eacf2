#!/usr/bin/env python3
"""Writes one JSON schema a kind for kubeconform: from the OpenAPI file of the Go module k8s.io/kubernetes, and from custom resource
definitions.  schemas.py OUT SWAGGER.json|'' [CRD.yaml...]
"""
import json, os, sys

out, swagger, crds = sys.argv[1], sys.argv[2], sys.argv[3:]
os.makedirs(out, exist_ok=True)
defs = json.load(open(swagger))["definitions"] if swagger else {}

def strict(s):
    """Forbids unknown fields."""
    if not isinstance(s, dict):
        return
    if isinstance(s.get("$ref"), str):
        s["$ref"] = s["$ref"].replace("#/definitions/", "_defs.json#/")
    for child in s.get("properties", {}).values():
        strict(child)
    for key in ("items", "additionalProperties", "not"):
        strict(s.get(key))
    if isinstance(s.get("properties"), dict) and "additionalProperties" not in s and not s.get("x-kubernetes-preserve-unknown-fields"):
        s["additionalProperties"] = False
    if s.get("x-kubernetes-int-or-string") or s.get("format") == "int-or-string":
        for key in ("type", "format", "anyOf"):
            s.pop(key, None)
        s["oneOf"] = [{"type": "string"}, {"type": "integer"}]

for d in defs.values():
    strict(d)
if defs:
    defs["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"oneOf": [{"type": "string"}, {"type": "number"}]}
    json.dump(defs, open(f"{out}/_defs.json", "w"))
n = 0
for name, d in defs.items():
    for g in d.get("x-kubernetes-group-version-kind", []):
        if d.get("properties", {}).get("kind") is None or len(d["x-kubernetes-group-version-kind"]) > 1:
            continue
        # kubeconform's {{.Group}} is what stands before the slash of apiVersion: 'v1' for the core group
        json.dump({"$ref": f"_defs.json#/{name}"}, open(f"{out}/{g['kind'].lower()}-{g['group'] or g['version']}-{g['version']}.json", "w"))
        n += 1
if crds:
    import yaml
    yaml.SafeLoader.add_constructor('tag:yaml.org,2002:value', lambda loader, node: node.value)  # a bare '=', in prometheus-operator's
    meta = {"type": "object"}
    for path in crds:
        for doc in yaml.safe_load_all(open(path)):
            if not doc or doc.get("kind") != "CustomResourceDefinition":
                continue
            for v in doc["spec"]["versions"]:
                s = v["schema"]["openAPIV3Schema"]
                strict(s)
                s.setdefault("properties", {}).update(apiVersion={"type": "string"}, kind={"type": "string"}, metadata=meta)
                json.dump(s, open(f"{out}/{doc['spec']['names']['kind'].lower()}-{doc['spec']['group']}-{v['name']}.json", "w"))
                n += 1
print(f"{n} schemas in {out}")
