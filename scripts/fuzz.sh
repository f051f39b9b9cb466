#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Fuzzes: builds every tests/fuzz/fuzz_NAME.c with clang, ASan and UBSan, and runs each on a copy of
# its seeds (tests/fuzz/seeds/NAME).
#
#   scripts/fuzz.sh [SECONDS [NAME...]]     60 seconds each; all of them
#
# A finding is kept in build/fuzz-findings. Last line: fuzz: N passed, N failed, N skipped
set -u
cd "$(dirname "$0")/.." || exit 1

seconds=${1:-60}
[ $# -gt 0 ] && shift
case $seconds in
'' | *[!0-9]*) sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
	for f in tests/fuzz/fuzz_*.c; do
		[ -e "$f" ] || continue
		f=${f##*/fuzz_}
		names+=("${f%.c}")
	done
fi
build=build/fuzz-clang
findings=build/fuzz-findings
jobs=${TALTUN_JOBS:-$(nproc)}
passed=0 failed=0 skipped=0
work=$(mktemp -d)
fuzzer=
cleanup() {
	[ -z "$fuzzer" ] || kill "$fuzzer" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

finish() {
	echo "fuzz: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
	exit
}

have_fuzzer_runtime() {
	echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { (void)d, (void)n; return 0; }' >"$work/probe.c"
	clang -fsanitize=fuzzer "$work/probe.c" -o "$work/probe" >/dev/null 2>&1
}

if ! have_fuzzer_runtime; then
	echo "skip: clang with its fuzzer runtime is not installed"
	skipped=${#names[@]}
	finish
fi

# The kernel's address randomisation may take the place of the sanitizers' shadow memory.
no_aslr=()
if setarch "$(uname -m)" -R true 2>/dev/null; then
	no_aslr=(setarch "$(uname -m)" -R)
fi

# -k: one fuzzer that does not build is one failure, not all of them.
make -k -j "$jobs" CC=clang CXX=clang++ SAN=address,undefined BUILD=$build \
	CFLAGS="${CFLAGS:-} -fsanitize=fuzzer-no-link" CXXFLAGS="${CXXFLAGS:-} -fsanitize=fuzzer-no-link" \
	"${names[@]/#/$build/fuzz/fuzz_}" || echo "the build had errors"

run_one() {
	local name=$1 corpus=$work/$1 rc
	local args=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1
		-verbosity=0 -artifact_prefix="$findings/$name-")
	mkdir -p "$corpus" "$findings"
	[ -d "tests/fuzz/seeds/$name" ] && cp -r "tests/fuzz/seeds/$name/." "$corpus"
	[ -f "tests/fuzz/$name.dict" ] && args+=(-dict="tests/fuzz/$name.dict")
	ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=0 \
	UBSAN_OPTIONS=print_stacktrace=1 \
		"${no_aslr[@]}" "$build/fuzz/fuzz_$name" "${args[@]}" "$corpus" >"$work/$name.log" 2>&1 &
	fuzzer=$!
	wait "$fuzzer"
	rc=$?
	fuzzer=
	return $rc
}

for name in "${names[@]}"; do
	if [ ! -x "$build/fuzz/fuzz_$name" ]; then
		echo "FAIL $name: not built"
		failed=$((failed + 1))
		continue
	fi
	if run_one "$name"; then
		units=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log")
		echo "fuzz $name: ${units:-?} inputs in $seconds s, $(find "$work/$name" -type f | wc -l) kept"
		passed=$((passed + 1))
	else
		tail -n 60 "$work/$name.log"
		echo "FAIL $name"
		failed=$((failed + 1))
	fi
done
finish
