# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2154 # those that it wants
#
# Results of a benchmark, after lib.sh: add METRIC UNIT VALUE notes one of $bench_contender in $results,
# report_json prints all of them with the machine. Wants $name, $rounds, $seconds.

results=$TT_WORK/results.tsv # metric, unit, contender, value; one line a run
: >"$results"

say() { printf '%s\n' "$*" >&2; }

# add METRIC UNIT VALUE
add() {
	printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$bench_contender" "${3:-0}" >>"$results"
	say "$(printf '    %-14s %-10s %12.2f %s' "$bench_contender" "$1" "${3:-0}" "$2")"
}

report_json() {
	jq -Rn --arg date "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --arg name "$name" \
		--arg kernel "$(uname -sr)" --arg arch "$(uname -m)" --argjson cpus "$(nproc)" \
		--arg cpu "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" \
		--argjson memory_mib "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" \
		--arg commit "$(git -C "$TT_ROOT" describe --always --dirty 2>/dev/null)" \
		--arg iperf "$(iperf3 --version | head -n 1)" --argjson load "$(cut -d ' ' -f 1 /proc/loadavg)" \
		--argjson rounds "$rounds" --argjson seconds "$seconds" '
		def median: sort | if length % 2 == 1 then .[(length - 1) / 2]
			else (.[length / 2 - 1] + .[length / 2]) / 2 end;
		{date: $date, name: $name, commit: $commit, rounds: $rounds, seconds: $seconds,
		 machine: {kernel: $kernel, arch: $arch, cpus: $cpus, cpu: $cpu, memory_mib: $memory_mib,
			iperf: $iperf, load: $load},
		 results: [inputs | split("\t") | {metric: .[0], unit: .[1], contender: .[2],
			value: (.[3] | tonumber)}]
			| group_by([.metric, .contender])
			| map({metric: .[0].metric, unit: .[0].unit, contender: .[0].contender,
				median: (map(.value) | median), runs: map(.value)})}' <"$results"
}
