#!/bin/sh
# shellcheck disable=SC2044,SC2013 # file names are our own: no blanks
# The layout's import rules, as far as text can show them. Codecs know no machine; what decides knows no kernel;
# `unsafe` stands where the kernel is touched; no file outgrows its reader; the oldest Rust that is promised reads it all.
set -u
cd "$(dirname "$0")/.." || exit
bad=0

rule() {
    echo "rules: $1"
    bad=1
}

# The crates that Cargo.toml depends on, as a source file names them.
crates=$(sed -n '/^\[dependencies\]/,/^\[profile/s/^\([a-z0-9_-]*\) = .*/\1/p' Cargo.toml | tr - _ | paste -sd '|')

for file in $(find src/wire -name '*.rs'); do
    tr '\n' ' ' <"$file" | grep -oE 'crate::(\{[^;]*;|[a-z_]+)' | grep -qvE '^crate::(time|address|wire)$' &&
        rule "$file: wire imports only std, time and address"
    grep -vE '^\s*//' "$file" | grep -qE "(^|[^a-z_:])($crates)::" && rule "$file: wire uses no other crate"
done

for file in $(find src/select* src/tunnel* src/firewall* src/dns* src/qbittorrent* src/daemon* -name '*.rs' ! -path 'src/daemon/run*'); do
    tr '\n' ' ' <"$file" | grep -qE 'crate::(\{([^;]*[{, ])?)?sys\b' && rule "$file: decides, so it never imports sys"
done

for file in $(grep -rlE '\bunsafe (fn|impl|\{)' src --include='*.rs' | grep -v '^src/sys/'); do
    rule "$file: unsafe lives in src/sys"
done

for file in $(find src -name '*.rs' ! -path '*tests*'); do
    lines=$(wc -l <"$file")
    [ "$lines" -le 400 ] || rule "$file: $lines lines, 400 are allowed"
done

# A `let` among the conditions of an `if` needs Rust 1.88, and Cargo.toml promises an earlier one. Editions before 2024
# have no such chains either, and say where one stands.
rustfmt --edition 2021 --style-edition 2024 --check src/lib.rs src/main.rs tests/*.rs tests/bench/src/main.rs ||
    rule "what Rust 1.85 can't read: nest the conditions"
exit $bad
