# What there is to make; `make help` prints it.
#
# Debian bookworm on x86-64 is the machine this is written for: everything needed is installed from its packages by
# `setup`, as root (or by sudo). No Docker, no KVM, no network beyond Debian's mirrors and crates.io.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
# Debian's Rust (packages *-web) where there is no other.
CARGO := $(or $(shell command -v cargo),/usr/bin/cargo)

AMD64 := target/x86_64-unknown-linux-gnu/release/pvpn
AARCH64 := target/aarch64/aarch64-unknown-linux-gnu/release/pvpn
SOURCES := $(shell find src -name '*.rs') Cargo.toml Cargo.lock pkg/no-unwinding.ld

# The lab: emulators, and what makes disk images out of packages.
PACKAGES := qemu-system-x86 qemu-system-arm mmdebstrap cpio kmod e2fsprogs xz-utils python3 \
	debian-archive-keyring ca-certificates
# The kernel tests of `cargo test`, in namespaces of their own, and certificates for their servers.
PACKAGES += iproute2 nftables netbase procps util-linux gcc libc6-dev openssl
# What reads the scripts, units and packages in pkg/.
PACKAGES += shellcheck systemd binutils groff-base zsh fish
# The aarch64 build: a compiler and a standard library of one version, and a linker.
PACKAGES += rustc-web cargo-web libstd-rust-web-dev libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross
# Debian's cargo, if it is there, makes room for cargo-web.
ifeq ($(filter-out /usr/bin/cargo,$(CARGO)),)
PACKAGES += rustfmt-web rust-web-clippy
endif

help: ## these lines
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/' | expand -t 12

setup: ## install from Debian what the other targets need; nothing when all of it is there
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f '$${db:Status-Abbrev}' $$p 2>/dev/null | grep -q '^ii' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
		echo "setup: installing" $$missing; \
		$(SUDO) dpkg --add-architecture arm64; \
		$(SUDO) apt-get update -q </dev/null; \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing </dev/null; \
	fi

check: setup ## format, lints, import rules, every test but the lab's
	tests/rules.sh
	$(CARGO) fmt --check
	$(CARGO) clippy -q --all-targets -- -D warnings
	$(CARGO) test -q
	python3 -B tests/bench/check.py
	cp Cargo.lock tests/bench/
	$(CARGO) fmt --check --manifest-path tests/bench/Cargo.toml
	CARGO_TARGET_DIR=target $(CARGO) clippy -q --manifest-path tests/bench/Cargo.toml -- -D warnings

# Release binaries need nothing of the machine they run on: linked statically, at a fixed address, so that a start costs
# neither a dynamic linker nor relocations (`pvpn status` from cron is mostly its own start), and without the tables for
# unwinding, since a panic aborts. The script that leaves them out is for GNU ld: some Rust toolchains link with another.
# `--target` keeps the flags away from build scripts and macros.
STATIC := -C llvm-args=-enable-machine-outliner=never -C target-feature=+crt-static -C relocation-model=static -C force-unwind-tables=no \
	-C link-arg=-fuse-ld=bfd -C link-arg=-Wl,-T,$(CURDIR)/pkg/no-unwinding.ld
# Panics name their source file: without where the builder keeps crates (the folder is cargo's name for crates.io).
STATIC += --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src/index.crates.io-1949cf8c6b5b557f/=

$(AMD64): $(SOURCES)
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$(STATIC)" \
	$(CARGO) build --release --locked --target x86_64-unknown-linux-gnu

# Debian's own compiler and standard library, so rustup's are kept off the PATH; a folder of its own, since two
# compilers would otherwise rebuild each other's work.
$(AARCH64): $(SOURCES)
	PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_TARGET_DIR=target/aarch64 \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$(STATIC)" \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
	/usr/bin/cargo rustc --release --locked --target aarch64-unknown-linux-gnu --bin pvpn -- \
		-C link-arg=-Wl,-Map=$(CURDIR)/target/aarch64/pvpn.map

# What `make bench` measures with, made as the binary is. It has a lock file of its own only because of what pvpn is
# compared with: everything else is as pvpn's own says.
BENCH_AMD64 := target/x86_64-unknown-linux-gnu/release/pvpn-bench
BENCH_AARCH64 := target/aarch64/aarch64-unknown-linux-gnu/release/pvpn-bench
BENCH_SOURCES := $(SOURCES) $(shell find tests/bench -name '*.rs') tests/bench/Cargo.toml

$(BENCH_AMD64): $(BENCH_SOURCES)
	cp Cargo.lock tests/bench/
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$(STATIC)" CARGO_TARGET_DIR=target \
	$(CARGO) build --release --manifest-path tests/bench/Cargo.toml --target x86_64-unknown-linux-gnu

$(BENCH_AARCH64): $(BENCH_SOURCES)
	cp Cargo.lock tests/bench/
	PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_TARGET_DIR=target/aarch64 \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="$(STATIC)" \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc \
	/usr/bin/cargo build --release --manifest-path tests/bench/Cargo.toml --target aarch64-unknown-linux-gnu

amd64: setup ; @$(MAKE) --no-print-directory $(AMD64) ## the release binary for this machine
aarch64: setup ; @$(MAKE) --no-print-directory $(AARCH64) && ls -l $(AARCH64) ## the Raspberry Pi's, by Debian's toolchain

cross: ## the Raspberry Pi's, by `cross` and Docker
	CROSS_CONFIG=cross/Cross.toml cross build --release --locked --target aarch64-unknown-linux-gnu
	@ls -l target/aarch64-unknown-linux-gnu/release/pvpn

deb: amd64 aarch64 ## Debian packages for arm64 and amd64: target/deb
	@pkg/deb/build $(AARCH64)
	@pkg/deb/build $(AMD64)

lab: amd64 aarch64 ## every scenario in the emulated machines
	$(SUDO) tests/lab/run all

test: ## check, then the lab: what CI runs
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory lab

demo: aarch64 ## the main job on an emulated Raspberry Pi 5, as it happens
	@$(SUDO) tests/lab/run arm64 demo --show

bench: PACKAGES += valgrind
bench: setup amd64 aarch64 ## figures beside what people use today, in one table, target/bench.json and the README
	@$(MAKE) --no-print-directory $(BENCH_AMD64) $(BENCH_AARCH64)
	$(CARGO) test -q --no-run --test sim
	@$(SUDO) env "PATH=$$PATH" tests/bench/run

clean: ## what was built; the guests' disks too
	rm -rf target .lab

.PHONY: help setup check amd64 aarch64 cross deb lab test demo bench clean
.DEFAULT_GOAL := help
