#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Runs the tests, tier by tier, and ends with one line: N passed, N failed, N skipped.
#
# usage: scripts/test.sh [TIER]...
#   build     gcc and clang, warnings are errors          unit      unit and two-node tests, fuzz seeds
#   lint      clang-format, shellcheck, layer check       asan      the same under ASan and UBSan
#   posix     portable fallback: build and unit tests     tsan      threaded tests under TSan
#   none      layers up to datapath without an OS         valgrind  unit tests under valgrind
#   fuzz      every fuzzer for TALTUN_FUZZ_SECONDS (20)   netns     namespace and interop tests
#   cli       command line, manual pages, completions, make install
# Without arguments: all of them. Logs stay in build/test-logs.
#
# TALTUN_NO_SETUP=1   do not install anything         TALTUN_JOBS=N   parallel jobs (all CPUs)
# TALTUN_TESTS=GLOB   only test programs and scripts whose file name matches
# TT_ALL=1            the long versions of the namespace tests: many minutes more
set -u
cd "$(dirname "$0")/.." || exit 1

all_tiers="build lint unit asan tsan valgrind posix none cli fuzz netns"
jobs=${TALTUN_JOBS:-$(nproc)}
fuzz_seconds=${TALTUN_FUZZ_SECONDS:-20}
only=${TALTUN_TESTS:-*}
logs=build/test-logs
unit_dirs=(unit/base unit/crypto unit/wg unit/mesh unit/datapath unit/plat unit/node unit/tls unit/hub sim bpf)
# Namespace scripts that take half a minute and more begin first: none of them is left alone at the end.
long_scripts="mesh_hostile mesh_faults mesh_nat hub_hostile mesh_pmtu refused_calls kill9 mesh_state mesh_grid
	failing_calls faults nats_self xdp_core_native xdp_core_generic xdp_changes"
fuzz_pid=
passed=0 failed=0 skipped=0
failures=()
started=$(date +%s)

# What valgrind cannot run, and why.
declare -A valgrind_skips=(
	[test_secmem]="valgrind knows neither mlock2 nor memfd_secret"
	[test_worker]="threads spin, and valgrind runs one at a time"
	[test_wg_fsm]="thousands of random lives take minutes; ASan and UBSan see them"
	[test_steer]="valgrind does not know what the bpf system call writes"
	[test_xdp]="valgrind does not know what the bpf system call writes"
	[test_priv_xdp]="valgrind does not know what the bpf system call writes"
	[test_port_xsk]="valgrind does not know what the bpf system call writes"
	[test_xsk]="the kernel writes the rings behind valgrind's back"
	[test_signer]="what fills the socket of another process takes minutes; ASan and UBSan see it"
	[test_epoch]="threads spin, and valgrind runs one at a time"
)

usage() { sed -n '4,19s/^# \{0,1\}//p' "$0"; }

heading() {
	printf '\n== %s  (%d s since the start)\n' "$1" $(($(date +%s) - started))
}

count_pass() {
	passed=$((passed + 1))
	echo "  ok    $1"
}

# count_fail WHAT [LOG]: the end of the log is shown, the whole of it stays.
count_fail() {
	failed=$((failed + 1))
	failures+=("$1")
	echo "  FAIL  $1${2:+   (log: $2)}"
	[ -z "${2:-}" ] || tail -n "${3:-30}" "$2" 2>/dev/null | sed 's/^/        | /'
}

count_skip() {
	skipped=$((skipped + 1))
	echo "  skip  $1: $2"
}

# step NAME COMMAND...: one pass or one failure.
step() {
	local name=$1 log=$logs/${1//[^A-Za-z0-9_.-]/_}.log from
	shift
	from=$(date +%s)
	if "$@" >"$log" 2>&1; then
		count_pass "$name ($(($(date +%s) - from)) s)"
	else
		count_fail "$name" "$log"
		return 1
	fi
}

# record NAME LOG STATUS: counts the result line a test program prints, or its status where it
# prints none; 77 means skipped as a whole.
record() {
	local name=$1 log=$2 rc=$3 line p f s
	line=$(grep -E '(^|: )[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
	if [ "$rc" -eq 77 ]; then
		count_skip "$name" "$(tail -n 1 "$log")"
		return
	fi
	if [ -z "$line" ]; then
		case $rc in
		0) count_pass "$name" ;;
		124 | 137) count_fail "$name: ran out of time" "$log" ;;
		*) count_fail "$name: status $rc and no result line" "$log" ;;
		esac
		return
	fi
	read -r p f s < <(sed -E 's/(.*: )?([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped/\2 \3 \4/' <<<"$line")
	[ "$rc" -eq 0 ] || [ "$f" -gt 0 ] || f=1
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	grep -E '^ *skip' "$log" | sort | uniq -c | sed 's/^ *1 //; s/^ */  /' | head -n 10
	if [ "$f" -gt 0 ]; then
		failures+=("$name")
		echo "  FAIL  $name: $p passed, $f failed, $s skipped, status $rc   (log: $log)"
		grep -E 'FAIL|ERROR|runtime error' "$log" | head -n 15 | sed 's/^/        | /'
		tail -n 15 "$log" | sed 's/^/        | /'
	else
		echo "  ok    $name: $p passed, $s skipped"
	fi
}

# run_programs TIER PARALLEL SECONDS WRAPPER PROGRAM...: each with its own log and deadline.
# WRAPPER is one string of words put before the program, or empty.
run_programs() {
	local tier=$1 parallel=$2 seconds=$3 wrapper=$4 t name rc took name_took
	shift 4
	local dir=$logs/$tier
	rm -rf "$dir" && mkdir -p "$dir"
	# shellcheck disable=SC2016 # expanded by the inner shell
	printf '%s\0' "$@" | wrapper=$wrapper dir=$dir seconds=$seconds xargs -0 -r -n 1 -P "$parallel" bash -c '
		name=$(basename "$(dirname "$1")")-$(basename "$1")
		start=$(date +%s)
		timeout -k 10 "$seconds" $wrapper "$1" >"$dir/$name.log" 2>&1 </dev/null
		rc=$?
		echo "$rc $(($(date +%s) - start))" >"$dir/$name.rc"' run
	for t in "$@"; do
		name=$(basename "$(dirname "$t")")-$(basename "$t")
		rc=1 took=0 name_took=''
		[ ! -r "$dir/$name.rc" ] || read -r rc took <"$dir/$name.rc"
		[ "$took" -lt 10 ] || name_took=" ($took s)"
		record "$tier $name$name_took" "$dir/$name.log" "$rc"
	done
}

# The test programs of a build folder that belong to the given folders of tests/.
programs_in() {
	local build=$1 d src
	shift
	for d in "$@"; do
		for src in tests/"$d"/test_*.c; do
			src=${src#tests/}
			# shellcheck disable=SC2053 # a pattern on purpose
			[[ $(basename "$src") == $only || $(basename "$src" .c) == $only ]] || continue
			[ -x "$build/tests/${src%.c}" ] && echo "$build/tests/${src%.c}"
		done
	done
}

# make_tests NAME MAKE-ARGS...: builds every test program of a variant.
make_tests() {
	local name=$1
	shift
	step "$name" make -k -j "$jobs" WERROR=1 "$@" check-build
}

tier_build() {
	step "build gcc" make -k -j "$jobs" WERROR=1 all check-build tools fuzz-replay
	if command -v clang >/dev/null; then
		step "build clang" make -k -j "$jobs" WERROR=1 CC=clang CXX=clang++ all check-build tools fuzz-replay
	else
		count_skip "build clang" "clang is not installed"
	fi
}

# Each script is read with what it includes, which takes long.
shellcheck_all() {
	printf '%s\0' "$@" | xargs -0 -n 8 -P "$jobs" shellcheck -x
}

tier_lint() {
	local sh
	mapfile -t sh < <(git ls-files '*.sh' .ci/run 2>/dev/null)
	if git rev-parse --git-dir >/dev/null 2>&1; then
		step "clang-format" make -s format-check
		step "shellcheck" shellcheck_all "${sh[@]}"
	else
		count_skip "clang-format, shellcheck" "not a git checkout"
	fi
	make -k -j "$jobs" libs >/dev/null 2>&1
	scripts/check-layers.sh >"$logs/check-layers.log" 2>&1
	record check-layers "$logs/check-layers.log" $?
}

tier_unit() {
	local t
	make_tests "unit build" fuzz-replay
	mapfile -t t < <(programs_in build "${unit_dirs[@]}")
	run_programs unit "$jobs" 300 "" "${t[@]}"
	replay_seeds build
}

# Every fuzzer's kept inputs through its plain replayer.
replay_seeds() {
	local dir name
	for dir in tests/fuzz/seeds/*/; do
		name=$(basename "$dir")
		timeout 120 "$1/fuzz/replay_fuzz_$name" "$dir" >"$logs/replay_$name.log" 2>&1
		record "replay of the seeds of $name" "$logs/replay_$name.log" $?
	done
}

# Sanitizers want their shadow memory where address randomisation may have put something else.
no_aslr() { setarch "$(uname -m)" -R true 2>/dev/null && echo "setarch $(uname -m) -R"; }

tier_asan() {
	local t
	export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1
	make_tests "asan build" SAN=address,undefined fuzz-replay
	mapfile -t t < <(programs_in build/variant-address-undefined "${unit_dirs[@]}")
	run_programs asan "$jobs" 600 "$(no_aslr)" "${t[@]}"
	replay_seeds build/variant-address-undefined
}

# Of the threaded layers all tests, and of the others those that start threads: nothing else is built.
threaded_tests() {
	printf '%s\n' tests/unit/{base,datapath,node}/test_*.c tests/bpf/test_*.c
	printf '%s\n' tests/unit/{wg,hub,plat}/test_*.c | grep -E '/test_(session|db|store|relay_udp|udp_io|thread_state)\.c$'
}

tier_tsan() {
	local t
	export TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1:exitcode=66
	mapfile -t t < <(threaded_tests | sed 's|^|build/variant-thread/|; s|\.c$||')
	step "tsan build" make -k -j "$jobs" WERROR=1 SAN=thread "${t[@]}"
	mapfile -t t < <(programs_in build/variant-thread unit/{base,datapath,node,wg,hub,plat} bpf |
		grep -xFf <(printf '%s\n' "${t[@]}"))
	run_programs tsan "$jobs" 600 "$(no_aslr)" "${t[@]}"
}

tier_valgrind() {
	local t kept=() p why wrapper
	if ! command -v valgrind >/dev/null; then
		count_skip valgrind "valgrind is not installed"
		return
	fi
	make_tests "valgrind build"
	mapfile -t t < <(programs_in build "${unit_dirs[@]}")
	for p in "${t[@]}"; do
		why=${valgrind_skips[$(basename "$p")]:-}
		if [ -n "$why" ]; then
			count_skip "valgrind $(basename "$p")" "$why"
		else
			kept+=("$p")
		fi
	done
	# times mean nothing here, and what only grows with size stays small
	wrapper="env TALTUN_TEST_LIGHT=1 valgrind -q --error-exitcode=99 --child-silent-after-fork=yes --leak-check=full"
	wrapper+=" --show-leak-kinds=definite --errors-for-leak-kinds=definite --suppressions=tests/valgrind.supp"
	run_programs valgrind "$jobs" 300 "$wrapper" "${kept[@]}"
}

tier_posix() {
	local t
	step "posix programs" make -k -j "$jobs" WERROR=1 PLATFORM=posix all
	make_tests "posix tests" PLATFORM=posix
	mapfile -t t < <(programs_in build/variant-posix "${unit_dirs[@]}")
	run_programs posix "$jobs" 300 "" "${t[@]}"
}

tier_none() {
	step "none libraries" make -k -j "$jobs" WERROR=1 PLATFORM=none all
}

fuzz_names() { (cd tests/fuzz && compgen -G 'fuzz_*.c' | sed 's/^fuzz_//; s/\.c$//'); }

# In the background, with what the others leave of the CPUs.
fuzz_start() {
	local names
	command -v clang >/dev/null || return
	mapfile -t names < <(fuzz_names)
	rm -rf "$logs/fuzz" && mkdir -p "$logs/fuzz"
	export -f fuzz_one
	export logs fuzz_seconds
	(
		# The first builds the libraries for all; the rest then share the CPUs.
		fuzz_one "${names[0]}"
		# shellcheck disable=SC2016 # expanded by the inner shell
		printf '%s\0' "${names[@]:1}" | xargs -0 -r -n 1 -P "$jobs" bash -c 'fuzz_one "$1"' run
	) &
	fuzz_pid=$!
}

tier_fuzz() {
	local f rc
	if ! command -v clang >/dev/null; then
		count_skip fuzz "clang is not installed"
		return
	fi
	[ -n "$fuzz_pid" ] || fuzz_start
	wait "$fuzz_pid"
	while read -r f; do
		rc=$(cat "$logs/fuzz/$f.rc" 2>/dev/null)
		record "fuzz $f" "$logs/fuzz/$f.log" "${rc:-1}"
	done < <(fuzz_names)
}

fuzz_one() {
	TALTUN_JOBS=2 nice -n 19 scripts/fuzz.sh "$fuzz_seconds" "$1" >"$logs/fuzz/$1.log" 2>&1 </dev/null
	echo $? >"$logs/fuzz/$1.rc"
}

tier_cli() {
	local t=() f seconds=180
	step "cli build" make -k -j "$jobs" WERROR=1 all
	# One script at a time, most of which wait: fuzzing begins beside them.
	case " ${tiers[*]} " in
	*" cli "*" fuzz "*) fuzz_start ;;
	esac
	for f in tests/cli/*.sh; do
		# shellcheck disable=SC2053 # a pattern on purpose
		[[ $(basename "$f") == $only ]] && t+=("$f")
	done
	[ -z "${TT_ALL:-}" ] || seconds=900
	run_programs cli 1 "$seconds" bash "${t[@]}"
}

tier_netns() {
	# For what hangs: the longest needs 170 s, and twice as much where others want the CPUs.
	local t=() busy=() calm=() f seconds=600 soak=''
	if [ "$(id -u)" -ne 0 ]; then
		count_skip netns "needs root"
		return
	fi
	if [ ! -c /dev/net/tun ]; then
		count_skip netns "needs /dev/net/tun"
		return
	fi
	step "netns build" make -k -j "$jobs" WERROR=1 all tools
	# shellcheck disable=SC2086 # words
	for f in $(printf 'tests/netns/%s.sh ' $long_scripts) tests/netns/*.sh tests/interop/*.sh; do
		[[ " ${t[*]} " != *" $f "* ]] || continue
		# shellcheck disable=SC2053 # a pattern on purpose
		[[ -f $f && $(basename "$f") != lib.sh && $(basename "$f") == $only ]] || continue
		if [[ $f == */soak_short.sh ]]; then soak=$f; else t+=("$f"); fi
	done
	# What a test would build itself would be built within its time.
	[[ ${t[*]} != *posix* ]] || step "netns build posix" make -k -j "$jobs" WERROR=1 PLATFORM=posix all
	[ -z "${TT_ALL:-}" ] || seconds=1800
	# Beside the others, as it needs three minutes whatever they do, and hardly a processor.
	if [ -n "$soak" ]; then
		timeout -k 20 "$seconds" bash "$soak" >"$logs/netns-soak.log" 2>&1 </dev/null &
		soak=$!
	fi
	# Those of AF_XDP keep their CPUs busy. The others wait for timers most of the time: two to a CPU.
	for f in "${t[@]}"; do
		if [[ $f == */xdp_* ]]; then busy+=("$f"); else calm+=("$f"); fi
	done
	[ ${#busy[@]} -eq 0 ] || run_programs netns-xdp "$jobs" "$seconds" bash "${busy[@]}"
	[ ${#calm[@]} -eq 0 ] || run_programs netns $((2 * jobs)) "$seconds" bash "${calm[@]}"
	if [ -n "$soak" ]; then
		wait "$soak"
		record "netns soak" "$logs/netns-soak.log" $?
	fi
}

# A function, so that all of this file is read before anything runs: it may be edited meanwhile.
main() {
	local tiers=() arg tier f
	for arg in "$@"; do
		case " $all_tiers " in
		*" $arg "*) tiers+=("$arg") ;;
		*)
			case $arg in
			-h | --help) usage && exit 0 ;;
			esac
			echo "test.sh: no tier '$arg' (one of: $all_tiers)" >&2
			exit 64
			;;
		esac
	done
	[ ${#tiers[@]} -gt 0 ] || read -ra tiers <<<"$all_tiers"

	mkdir -p "$logs"
	if [ -z "${TALTUN_NO_SETUP:-}" ]; then
		heading setup
		scripts/setup.sh test || count_fail "setup"
	fi
	for tier in "${tiers[@]}"; do
		heading "$tier"
		"tier_$tier"
	done

	printf '\n== done in %d s\n' $(($(date +%s) - started))
	for f in "${failures[@]}"; do
		echo "  FAIL  $f"
	done
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" -eq 0 ]
}

main "$@"
exit
