#!/usr/bin/env bash
# Runs CUnit programs one after another; prints the failures and one total line.
set -u
passed=0 failed=0 skipped=0
for t in "$@"; do
	out=$("$t" 2>&1); rc=$?
	line=$(printf '%s\n' "$out" | grep -E ': [0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' | tail -n 1)
	if [ -z "$line" ]; then
		printf '%s\n' "$out" | tail -n 40
		echo "FAIL $t: ended with status $rc and no result line"
		failed=$((failed + 1))
		continue
	fi
	read -r p f s < <(printf '%s\n' "$line" | sed -E 's/.*: ([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped/\1 \2 \3/')
	if [ "$rc" -ne 0 ]; then
		printf '%s\n' "$out" | tail -n 40
		[ "$f" -gt 0 ] || f=1
	fi
	printf '%s\n' "$out" | grep -E '^  skip' || true
	echo "$line"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "unit: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
