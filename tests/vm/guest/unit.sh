#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The unit tests of what asks the kernel for something, on this kernel: its verifier and AF_XDP, TUN,
# routes, VLANs and neighbours. Needs nothing but the programs that tests/vm/initramfs.sh found.
cd "$(dirname "$0")/../../.." || exit 1
passed=0 failed=0 skipped=0

for program in build/tests/bpf/test_* build/tests/unit/plat/test_*; do
	[ -x "$program" ] || continue
	timeout 600 "$program" >/tmp/unit.log 2>&1 </dev/null
	status=$?
	line=$(grep -E ': [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' /tmp/unit.log | tail -n 1)
	read -r p f s < <(sed -E 's/.*: ([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped/\1 \2 \3/' <<<"$line")
	passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
	if [ "$status" -eq 0 ] && [ -n "$line" ]; then
		echo "  ok    $program: $p passed, $s skipped"
	else
		[ "${f:-0}" -gt 0 ] || failed=$((failed + 1))
		echo "  FAIL  $program: status $status"
		tail -n 15 /tmp/unit.log | sed 's/^/        | /'
	fi
	grep -E '^ *skip' /tmp/unit.log | sort -u | head -n 5
done
if [ $((passed + failed)) -eq 0 ]; then
	echo "unit: skipped: no programs (make check-build)"
	exit 77
fi
echo "unit: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
