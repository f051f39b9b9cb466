#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Namespace tests that belong together, one after the other, outside the default run.
#
# usage: scripts/check-netns.sh xdp|mesh [TEST]...    names in tests/netns without .sh; all by default
#   xdp    AF_XDP, and all of the core's tests by AF_XDP, native copy and generic: the long versions
#   mesh   hub and mesh; with TT_ALL=1 the long versions
#
# TT_BIN=FOLDER   other programs than build/bin, of a sanitizer for one: their reports are failures.
# Logs stay in build/test-logs/xdp or mesh.
set -u
cd "$(dirname "$0")/.." || exit 1

usage() { sed -n '4,12s/^# \{0,1\}//p' "$0"; }

# Sanitizers want their shadow memory where address randomisation may have put something else. The
# engine must not be traced by anybody, and so not by the search for leaks either. And
# tests/netns/support/clocks.c is preloaded before the runtime of AddressSanitizer.
asan=detect_leaks=0:verify_asan_link_order=0
case ${1:-} in
xdp)
	patterns=(xdp_*.sh bench_xdp.sh)
	export TT_ALL=1
	;;
mesh)
	patterns=(hub_*.sh mesh_*.sh enroll.sh)
	;;
-h | --help) usage && exit 0 ;;
*) usage >&2 && exit 64 ;;
esac
logs=build/test-logs/$1
shift
tests=("$@")
# shellcheck disable=SC2068 # patterns on purpose
[ $# -gt 0 ] || mapfile -t tests < <(cd tests/netns && printf '%s\n' ${patterns[@]} | sed 's/\.sh$//')
mkdir -p "$logs"
export ASAN_OPTIONS=${ASAN_OPTIONS:-$asan} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
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
