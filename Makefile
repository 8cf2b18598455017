# The front door. Every target installs what it needs (apt-get as root or with sudo; Python packages
# into build/venv) and builds what it uses.
BUILD := build/release
JOBS ?= $(shell nproc)

all: $(BUILD)/sluice ## build build/release/sluice

$(BUILD)/sluice: deps FORCE
	@[ -e $(BUILD)/build.ninja ] || cmake --preset release >/dev/null
	@ninja -C $(BUILD) -j $(JOBS) sluice sluice-tensorflow-host sluice-fetch tensorflow_model_server

deps: ; @tools/deps ## install what the build needs
deps-test: ; @tools/deps test && tools/venv
deps-clients: ; @tools/deps clients && tools/venv && tools/venv oip
deps-deep: ; @tools/deps deep && tools/venv

run: all ## serve the example models on REST 8501 and gRPC 8500
	@tools/run $(BUILD)/sluice

test: deps-test layers ## unit, API, both engines, corpora, with ASan and UBSan
	@tools/test asan

test-clients: deps-clients all ## every real client and proxy
	@tools/test clients

test-deep: deps-deep ## analyzers, TSan, valgrind, fault injection, coverage, soak
	@tools/test deep

soak: deps-test ## mixed requests for SOAK_MINUTES (30): no memory, no descriptor is lost; as long again, changing models
	@SOAK_MINUTES=$(or $(SOAK_MINUTES),30) tools/test soak

bench: deps-test all ## the figures of bench/, interleaved
	@bench/run

deps-fuzz: ; @tools/deps fuzz
fuzz: deps-fuzz
asan tsan fuzz coverage dev: deps ## a build with that preset
	@cmake --preset $@ >/dev/null && ninja -C build/$@ -j $(JOBS)

analyze: deps-deep all ; @tools/analyze ## gcc's -fanalyzer and clang-tidy: nothing to say
layers: deps ; @tools/layers ## who includes whom
fmt: ; @git ls-files '*.c' '*.h' | xargs clang-format-14 -i ## settle spacing
models: deps-test ; @build/venv/bin/python tests/models/make_models.py ## make the tests' models again

install: all ## into $(DESTDIR)$(PREFIX), /usr/local by default
	@DESTDIR=$(DESTDIR) cmake --install $(BUILD) --prefix $(or $(PREFIX),/usr/local)

clean: ; rm -rf build/release build/asan build/tsan build/dev build/fuzz build/coverage
help: ; @grep -hE '^[a-z -]+:.*## ' Makefile | sed 's/:.*## /\t/' | sort

FORCE:
.PHONY: all deps deps-test deps-clients deps-deep deps-fuzz run test test-clients test-deep soak bench asan tsan fuzz coverage dev analyze layers fmt models install clean help FORCE
