# The cluster in four steps: images, import, up, down. Each is a command or two, printed before it runs.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c

RELEASE := $(shell sed -n 's/^__version__ = "\(.*\)"$$/\1/p' gork/__init__.py)
NAMES := final-script promptimizer qwen-small qwen llama judge
IMAGES := $(NAMES:%=%:$(RELEASE))

# Other programs with the same arguments will do: make import CTR="sudo ctr -n k8s.io". (Podman would name the images localhost/qwen:...,
# which are not those that the manifest means.)
DOCKER ?= docker
CTR ?= sudo k3s ctr
KUBECTL ?= kubectl
# A registry that the nodes can pull from, with the folder in it: make push up REGISTRY=registry.example.com/gork
REGISTRY ?=

.PHONY: help images $(NAMES) import push up down

help:
	@echo "make images    build the six images of release $(RELEASE)    (one alone: make qwen)"
	@echo "make import    bring them into this node's k3s: for one node"
	@echo "make push      push them to REGISTRY=...: for several nodes"
	@echo "make up        apply script_final.yaml (with REGISTRY=... the images from there) and wait until it serves"
	@echo "make down      delete what it made"

images: $(NAMES)

$(NAMES):
	$(DOCKER) build -f Dockerfile.$(subst -,_,$@) -t $@:$(RELEASE) .

# In one stream, in which layers that images share come once. On each node of the cluster.
import:
	$(DOCKER) save $(IMAGES) | $(CTR) images import -

push:
	@test -n "$(REGISTRY)" || { echo "make push REGISTRY=registry.example.com/gork" >&2; exit 2; }
	for image in $(IMAGES); do $(DOCKER) tag $$image $(REGISTRY)/$$image && $(DOCKER) push $(REGISTRY)/$$image || exit 1; done

up:
ifeq ($(REGISTRY),)
	$(KUBECTL) apply -f script_final.yaml
else
	$(KUBECTL) kustomize deploy/overlays/registry | sed 's#REGISTRY/#$(REGISTRY)/#' | $(KUBECTL) apply -f -
endif
	$(KUBECTL) rollout status deployment --selector app.kubernetes.io/part-of=gork-heavy-lite --timeout=20m

down:
	$(KUBECTL) delete --ignore-not-found -f script_final.yaml
