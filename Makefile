# Everything one does with this repository. play, demo and test need Go, make and git, and nothing else.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# As in services/Dockerfile, so that image-check finds in the build cache what build left there.
export CGO_ENABLED ?= 0
BUILD := go build -ldflags=-s
# Those that run: a file of k8s/base each, generated from the choreography.
SERVICES := $(filter-out kustomization,$(basename $(notdir $(wildcard k8s/base/*.yaml))))

.PHONY: help
help: ## this list
	@printf 'Troupe: an order that runs by choreography over Kafka. Begin with "make play".\n\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##### see it work

.PHONY: play
play: bin/troupe ## the whole troupe on this machine, until Ctrl-C; ARGS="--help" lists its flags
	@exec bin/troupe play $(ARGS)

.PHONY: demo
demo: bin/troupe ## three orders through a running playground or demo stack, told event by event
	@exec bin/troupe demo $(ARGS)

.PHONY: build
build: bin/troupe $(SERVICES:%=bin/%) ## all programs, into bin/

.PHONY: FORCE
bin/%: FORCE # Go itself knows what is up to date
	@$(BUILD) -o $@ ./services/$*/cmd/$*

##### see that it holds

.PHONY: test
test: ## every rung of the test ladder that needs nothing but Go
	@scripts/test

.PHONY: test-long
test-long: ## what of the ladder takes minutes: 2,000 schedules, the troupe under load, every place at which something is held
	@scripts/test long

.PHONY: test-real
test-real: ## rung 6: on a real Kafka (Java, Maven; or TEST_KAFKA_BROKERS) and Redis (redis-server; or TEST_REDIS_ADDR)
	@scripts/test real

.PHONY: browser-test
browser-test: bin/troupe ## rung 9: a headless Chromium walks the console (Node, npm, chromium); screenshots in .cache/screenshots
	@scripts/browser-test

.PHONY: contracts-test
contracts-test: bin/troupe ## the HTTP doors against schemas/openapi, by Schemathesis (Python, venv); EXAMPLES=200, SEED=fresh
	@SEED=$(SEED) scripts/contracts-test

.PHONY: events-test
events-test: bin/troupe ## the commands of docs/events.md: topics read by troupe events, kcat, Python and Java (kcat, venv, Java, Maven)
	@scripts/events-test

.PHONY: orchestrated-test
orchestrated-test: bin/troupe ## the same flow by a workflow engine, with the same customers and judge (redis-server)
	cd loadtest/orchestrated && GOWORK=off go test -count=1 ./...

ORDERS ?= 1000
SEED ?= fresh

.PHONY: prove
prove: bin/troupe ## breaks everything while ORDERS=1000 are placed, by SEED=fresh, and reads all of it; ARGS="-real" on a real Kafka and Redis
	go run ./loadtest/prove -troupe bin/troupe -orders $(ORDERS) -seed $(SEED) $(ARGS)

.PHONY: prove-controls
prove-controls: ## takes each guard out of the product; passes when each breaks the promise it kept; ARGS="-sample 3" for three of them
	go run ./loadtest/prove/controls $(ARGS)

# One of each way to lose a connection, a position or a process: what logs in again, and reads and writes as after a start.
SECURE_FAULTS := kill,rolling-restart,broker-restart,topics-anew,redis-restart,redis-flush,redis-restore,rebuild,redrive

.PHONY: secure-test
secure-test: bin/troupe ## prove on a Kafka and Redis that refuse what is not granted, by TLS, with tokens; then demo and load-smoke there (openssl)
	go run ./loadtest/prove -secure -troupe bin/troupe -orders 200 -seed $(SEED) -faults $(SECURE_FAULTS) -then 'bin/troupe demo && scripts/load smoke' $(ARGS)

# What leaves copies, dead letters and garbage in the log; superseded facts are appended for certain afterwards.
STREAMS_FAULTS := kill,pause,pair:pause+redis-flush,redis-flush,redrive,copies,poison

.PHONY: streams-test
streams-test: bin/troupe ## the totals of Flink SQL against the read model, after prove on a real Kafka (Java, Maven, redis-server)
	cd services/statistics && mvn -q -B package
	scripts/streams-peer # a peer of the benchmark, which CI does not measure: it must still compile
	go run ./loadtest/prove -real -troupe bin/troupe -orders 200 -seed 1 -faults $(STREAMS_FAULTS) -then 'go run ./loadtest/prove/streams' $(ARGS)

.PHONY: fuzz
fuzz: ## every fuzz test on FUZZTIME inputs (50000x), or for a time (10m)
	@scripts/fuzz

.PHONY: lint
lint: ## formatting, vet, linters, import rules, shape of packages, contracts, generated code
	go vet work
	$$(scripts/tool golangci-lint) run --timeout 10m $$(go list -m -f '{{.Dir}}/...')
	cd loadtest/bench && GOWORK=off $$(../../scripts/tool golangci-lint) run --timeout 10m ./...
	cd loadtest/bench && GOWORK=off go test ./...
	cd loadtest/orchestrated && GOWORK=off $$(../../scripts/tool golangci-lint) run --timeout 10m ./...
	@for dir in $$(go list -m -f '{{.Dir}}') loadtest/bench loadtest/orchestrated; do (cd $$dir && GOWORK=off go mod tidy -diff) || { echo "$$dir: run go mod tidy there"; exit 1; }; done
	cd schemas && $$(../scripts/tool buf) lint
	cd schemas && $$(../scripts/tool buf) breaking --against baseline.binpb
	go run .ci/shape.go
	go run .ci/readmes.go
	scripts/generated
	scripts/links
	@if command -v shellcheck >/dev/null; then shellcheck -x scripts/* .ci/run .ci/readme k8s/test/{build,cluster,image,images}; else echo 'shellcheck is not installed: shell scripts were not checked'; fi

.PHONY: size
size: ## lines of hand-written code, and the share of comments, of every module and of each package of pkg
	@go run .ci/size.go

.PHONY: generate
generate: ## generated code from the contracts, and from what pkg stores
	@buf=$$(scripts/tool buf) && tool=$$(scripts/tool protoc-gen-go) && \
		dir=$$(mktemp -d) && ln -s "$$tool" "$$dir/protoc-gen-go" && \
		(cd schemas && PATH="$$dir:$$PATH" "$$buf" generate && "$$buf" build --exclude-source-info --as-file-descriptor-set -o events.binpb) && (cd pkg && PATH="$$dir:$$PATH" "$$buf" generate); \
		code=$$?; rm -rf "$$dir"; exit $$code
	go generate work

.PHONY: bench-peers
bench-peers: ## Troupe beside what people use instead, on a real Kafka and Redis; ARGS="-help" lists its flags
	@scripts/bench $(ARGS)

SCENARIO ?= steady

.PHONY: load
load: bin/troupe ## k6: SCENARIO=steady, spike, stress or soak, against ORDER_URL and QUERY_URL, or a playground of its own
	@scripts/load $(SCENARIO)

.PHONY: load-smoke
load-smoke: bin/troupe ## k6: a hundred orders, and whether every answer and outcome is right
	@scripts/load smoke

.PHONY: image-check
image-check: ## builds every service as services/Dockerfile does, without Docker
	@scripts/image-check

.PHONY: compose-check
compose-check: ## docker-compose.yml by a real Compose, and against the rules of the demo stack
	@set -o pipefail; $$(scripts/tool docker-compose) --profile '*' config --format json | go run .ci/compose.go
	@set -o pipefail; $$(scripts/tool docker-compose) -f docker-compose.yml -f docker-compose.secure.yml --profile '*' config --format json | go run .ci/compose.go

.PHONY: alerts-check
alerts-check: ## alert rules, their tests and Prometheus' configuration, by promtool (Debian: prometheus)
	@command -v promtool >/dev/null || { echo 'promtool is not installed (Debian: package prometheus)' >&2; exit 1; }
	promtool check config k8s/observability/prometheus.yml
	promtool test rules k8s/observability/alerts_test.yml

.PHONY: k8s-check
k8s-check: ## the Kubernetes manifests, without a cluster: what is generated, what the overlays render to, schemas (Python with yaml)
	@scripts/k8s-check

.PHONY: k8s-test
k8s-test: ## overlays/local on a real Kubernetes: killed, drained, upgraded and scaled under load (root, Debian; not in ci: CONTRIBUTING.md)
	@scripts/k8s-test

.PHONY: images
images: ## the images of overlays/local, tagged local (Docker); kind load docker-image brings them into a cluster
	for service in $(SERVICES); do docker build -f services/Dockerfile --build-arg SERVICE=$$service -t troupe-$$service:local . || exit 1; done
	docker build -f services/Dockerfile --build-arg SERVICE=troupe --build-arg SOURCES=all -t troupe-cli:local .

.PHONY: release
release: ## archives, bills of materials, images (Docker) and checksums of VERSION=v1.2.3, in .cache/release
	@scripts/release $(VERSION)

.PHONY: release-check
release-check: ## the same release from two clones has the same bytes (not in ci: it compiles all dependencies once more)
	@scripts/release-check

.PHONY: ci
# So that what is compiled here serves the clone in which the README's commands run.
ci: export GOFLAGS := $(GOFLAGS) -trimpath
ci: ## what CI runs: all of the above, and the README's own commands in a fresh clone
	@scripts/step 'lint' $(MAKE) --no-print-directory lint
	@scripts/step 'size' $(MAKE) --no-print-directory size
	@scripts/step 'the README, as it is written' .ci/readme
	@scripts/step 'test-long' $(MAKE) --no-print-directory test-long
	@$(MAKE) --no-print-directory bin/troupe
	@$(MAKE) --no-print-directory --output-sync=line -j 2 ci-real ci-proofs
	@$(MAKE) --no-print-directory --output-sync=line -j 2 ci-contracts ci-walks
	@scripts/step 'prove-controls, three of them' $(MAKE) --no-print-directory prove-controls ARGS='-sample 3'
	@scripts/step 'fuzz' $(MAKE) --no-print-directory fuzz
	@scripts/step 'image-check' $(MAKE) --no-print-directory image-check
	@scripts/step 'compose-check' $(MAKE) --no-print-directory compose-check
	@scripts/step 'alerts-check' $(MAKE) --no-print-directory alerts-check
	@scripts/step 'k8s-check' $(MAKE) --no-print-directory k8s-check

# These wait more than they work, and go side by side.
.PHONY: ci-real ci-proofs ci-contracts ci-walks
ci-real:
	@scripts/step 'test-real' $(MAKE) --no-print-directory test-real
ci-proofs:
	@scripts/step 'prove, a fixed seed' $(MAKE) --no-print-directory prove SEED=1
	@scripts/step 'prove, a fresh seed' $(MAKE) --no-print-directory prove
	@scripts/step 'secure-test' $(MAKE) --no-print-directory secure-test
ci-contracts:
	@scripts/step 'contracts-test, a fixed seed' $(MAKE) --no-print-directory contracts-test SEED=1
	@scripts/step 'contracts-test, a fresh seed' $(MAKE) --no-print-directory contracts-test EXAMPLES=50
ci-walks:
	@scripts/step 'browser-test' $(MAKE) --no-print-directory browser-test
	@scripts/step 'events-test' $(MAKE) --no-print-directory events-test
	@scripts/step 'orchestrated-test' $(MAKE) --no-print-directory orchestrated-test
	@scripts/step 'load-smoke' $(MAKE) --no-print-directory load-smoke
	@scripts/step 'streams-test' $(MAKE) --no-print-directory streams-test

.PHONY: clean
clean: ## removes what was built and played here
	rm -rf bin .cache .play
