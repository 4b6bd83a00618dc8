# SPDX-License-Identifier: GPL-2.0-only
#
# The front door. Each target is one line into CMake, kbuild or tests/.
#
#   make demo       watch Llamux find a noisy neighbour in a real kernel
#   make test       set up, build and run every test
#   make test-uml   the module's tests in a User Mode Linux with KASAN and lockdep
#   make test-agent-vm  what the agent promises, in guests with systemd
#   make test-tinyllama  the engine at TinyLlama's full size, natively and in guests
#   make gym        what decisions are worth: the fault suite on both kernels (2 hours)
#   make test-sanitize  the engine's tests under ASan with UBSan, TSan and valgrind
#   make all        build everything
#   make install    module for the running kernel, agent, BPF (as root)
#   make deb        Debian packages, below build/deb
#   make bench      measure speed; make lint; make clean
#   make fuzz       look for new bad inputs, FUZZ_SECONDS for each target
#
# Nothing needs to be installed before: demo, test and all fetch their own
# packages (make setup) on Debian 12.

JOBS ?= $(shell nproc)
PRESET ?= release
RELEASE ?= $(shell uname -r)
FUZZ_SECONDS ?= 60

.PHONY: all setup configure demo test test-agent-vm test-tinyllama test-sanitize test-uml gym bench lint fuzz install deb clean

all: configure
	cmake --build --preset $(PRESET) -j $(JOBS)

setup:
	tests/support/setup.sh

configure: setup
	cmake --preset $(PRESET)

demo: all
	tests/vm/demo.sh

test: all
	ctest --preset $(PRESET) --timeout 600 -j $(JOBS)

test-uml:
	tests/support/setup.sh uml
	cmake --preset uml
	cmake --build --preset uml -j $(JOBS)
	ctest --preset uml -j $(JOBS)

test-agent-vm:
	tests/support/setup.sh agent-vm
	cmake --preset agent-vm
	cmake --build --preset agent-vm -j $(JOBS)
	ctest --preset agent-vm

test-tinyllama: all
	tests/golden/test-tinyllama

gym: all
	tests/support/setup.sh gym
	tests/gym/gym

test-sanitize: sanitize-asan-ubsan sanitize-tsan sanitize-valgrind

# What has one thread cannot race.
sanitize-tsan: SUITE = threads
sanitize-%: SUITE = engine
# Valgrind is slower than bounds on time allow, and has no long double.
sanitize-valgrind: EXCEPT = -E 'IsNotQuadratic|IsExactToOneUlp'
sanitize-%: setup
	cmake --preset $*
	cmake --build --preset $* -j $(JOBS) --target $(SUITE)-tests
	ctest --preset $* -L $(SUITE) $(EXCEPT) --timeout 1200 -j $(JOBS)

bench: all
	tests/bench/run.sh

lint: configure
	ctest --preset $(PRESET) -L lint

fuzz: setup
	tests/fuzz/run $(FUZZ_SECONDS)

install:
	cmake --install build
	$(MAKE) -C /lib/modules/$(RELEASE)/build M=$(CURDIR)/build/kmod/$(RELEASE) modules_install
	depmod $(RELEASE)

deb:
	tests/support/setup.sh deb
	JOBS=$(JOBS) agent/debian/build

# Keeps build/downloads, which costs minutes to fetch.
clean:
	if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name downloads -exec rm -rf {} +; fi
