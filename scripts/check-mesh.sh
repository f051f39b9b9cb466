#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every namespace test of hub and mesh, and what testssl.sh says of the hub.
#
# usage: scripts/check-mesh.sh [TEST]...    names in tests/netns without .sh; all of them by default
#
# TT_BIN=FOLDER   other programs than build/bin, of a sanitizer for one: their reports are failures.
# TT_ALL=1        the long versions. Logs stay in build/test-logs/mesh.
set -u
cd "$(dirname "$0")/.." || exit 1

logs=build/test-logs/mesh
tests=("$@")
[ $# -gt 0 ] || mapfile -t tests < <(cd tests/netns && printf '%s\n' hub_*.sh mesh_*.sh enroll.sh | sed 's/\.sh$//')
mkdir -p "$logs"
# As scripts/check-xdp.sh; and tests/netns/support/clocks.c is preloaded, too.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:verify_asan_link_order=0} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
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
