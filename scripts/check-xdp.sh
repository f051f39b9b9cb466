#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every namespace test of AF_XDP, and all of the core's tests by AF_XDP, native copy and generic.
#
# usage: scripts/check-xdp.sh [TEST]...    names in tests/netns without .sh; all of AF_XDP's by default
#
# TT_BIN=FOLDER   other programs than build/bin, of a sanitizer for one: their reports are failures.
# Logs stay in build/test-logs/xdp.
set -u
cd "$(dirname "$0")/.." || exit 1

logs=build/test-logs/xdp
tests=("$@")
[ $# -gt 0 ] || mapfile -t tests < <(cd tests/netns && printf '%s\n' xdp_*.sh bench_xdp.sh | sed 's/\.sh$//')
mkdir -p "$logs"
export TT_ALL=1
# Sanitizers want their shadow memory where address randomisation may have put something else. The
# engine must not be traced by anybody, and so not by the search for leaks either.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
wrapper=()
setarch "$(uname -m)" -R true 2>/dev/null && wrapper=(setarch "$(uname -m)" -R)
failed=0
for t in "${tests[@]}"; do
	"${wrapper[@]}" bash "tests/netns/$t.sh" </dev/null >"$logs/$t.log" 2>&1
	rc=$?
	tail -n 1 "$logs/$t.log"
	[ "$rc" -eq 0 ] || [ "$rc" -eq 77 ] || {
		failed=$((failed + 1))
		grep FAIL "$logs/$t.log" | head -n 20 | sed 's/^/        | /'
	}
done
[ "$failed" -eq 0 ]
