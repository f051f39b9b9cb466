#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# taltun status and peers for people: 200 peers of a fake daemon in terminals of 40, 80 and 100
# columns, against tests/cli/golden/. TT_GOLDEN=write writes those files anew.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun python3 jq
export TALTUN_RUN_DIR=$TT_WORK/run LC_ALL=C.UTF-8 TZ=UTC
unset COLUMNS NO_COLOR
mkdir "$TALTUN_RUN_DIR"
golden=$TT_ROOT/tests/cli/golden

# start_daemon NAME PEERS [OPTION]
start_daemon() {
	"$TT_ROOT/tests/cli/support/fake_daemon.py" "$TALTUN_RUN_DIR/$1.sock" --peers "$2" "${@:3}" \
		2>"$TT_WORK/$1.log" &
	tt_pids+=($!)
	check "a daemon for $1" wait_for 10 test -S "$TALTUN_RUN_DIR/$1.sock"
}

# same NAME COMMAND...: what it prints is what the file holds
same() {
	local name=$1
	shift
	"$@" 2>&1 | sed -E 's/[0-9]+ seconds? ago/SECONDS ago/' >"$TT_WORK/$name.txt"
	[ "${TT_GOLDEN:-}" != write ] || cp "$TT_WORK/$name.txt" "$golden/$name.txt"
	check "$name" diff -u "$golden/$name.txt" "$TT_WORK/$name.txt"
}

# widest FILE: columns of its widest line, a wide character counted twice
widest() {
	python3 -c 'import sys, unicodedata
print(max(sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in l.rstrip("\n"))
	for l in open(sys.argv[1], encoding="utf-8")))' "$1"
}

start_daemon tt0 200
for columns in 40 80 100; do
	same "peers-$columns" env COLUMNS=$columns taltun peers tt0
	same "status-$columns" env COLUMNS=$columns taltun status tt0
	for f in peers status; do
		# the key of the interface is never broken
		grep -v 'public key' "$TT_WORK/$f-$columns.txt" >"$TT_WORK/lines"
		check "$f: no line is wider than $columns" test "$(widest "$TT_WORK/lines")" -le "$columns"
	done
done
check "a row for every peer" test "$(sed -n '/^PEER/,/^not direct/p' "$TT_WORK/peers-80.txt" | wc -l)" -eq 202
check "status fits a terminal of 24 lines" test "$(wc -l <"$TT_WORK/status-80.txt")" -le 24
taltun peers tt0 >"$TT_WORK/peers.txt"
check "no terminal, no bound" grep -q '^a-node-with-a-very-long-name-in-the-data-centre-of-frankfurt-30 ' "$TT_WORK/peers.txt"
check_not "nothing of a name reaches the terminal as it is" eval "cat '$TT_WORK'/*.txt | grep -q \$'[\\e\\a]'"
LC_ALL=C taltun peers tt0 >"$TT_WORK/peers.txt"
check_not "plain ASCII where the locale has no more" env LC_ALL=C grep -q '[^ -~]' "$TT_WORK/peers.txt"

# --- one peer, and few -----------------------------------------------------------------------

same peer-80 env COLUMNS=80 taltun status tt0 --peer laptop-8
same peer-40 env COLUMNS=40 taltun status tt0 --peer laptop-8
key=$(taltun peers tt0 --json --peer laptop-8 | jq -r '.[].public_key')
equal "--peer by the beginning of a key" laptop-8 "$(taltun peers tt0 --json --peer "${key:0:12}" | jq -r '.[].name')"
check "--peer of status --json" eval "taltun status --json --peer laptop-8 | jq -e '.[0].peers | length == 1'"
taltun status tt0 --peer nobody >"$TT_WORK/out" 2>"$TT_WORK/err"
equal "nobody has that name" 1 $?
check "says so" grep -q 'no peer has the name "nobody"' "$TT_WORK/err"
check_not "and nothing else" test -s "$TT_WORK/out"
taltun status --peer 2>"$TT_WORK/err"
equal "--peer without a name" 2 $?
taltun peers --frobnicate 2>"$TT_WORK/err"
equal "an unknown option is no interface" 2 $?

start_daemon tt1 2
same few-80 env COLUMNS=80 taltun status tt1
equal "all interfaces, one after the other" "tt0 tt1" "$(taltun status | sed -nE 's/^interface (tt.) .*/\1/p' | sort | paste -sd' ')"
start_daemon tt2 0
same none-80 env COLUMNS=80 taltun peers tt2

# --- a daemon that was taken over ---------------------------------------------------------------

start_daemon tt3 12 --hostile
start_daemon tt4 3 --hostile
for args in "status tt3" "status tt4" "peers tt3" "top tt3 --once --interval 0.1"; do
	# shellcheck disable=SC2086 # words
	taltun $args >"$TT_WORK/out" 2>&1
	equal "$args of a hostile daemon" 0 $?
	check_not "sends nothing but text to the terminal" grep -qP '[^\P{Cc}\n]' "$TT_WORK/out"
done
check "status --json is JSON all the same" eval "taltun status tt3 --json | jq -e . >/dev/null"

# --- a full disk ------------------------------------------------------------------------------

if [ -c /dev/full ]; then
	taltun peers tt0 >/dev/full 2>"$TT_WORK/err"
	equal "a full disk is a failure" 1 $?
	check "and is named" grep -q 'cannot write the output: No space left' "$TT_WORK/err"
else
	skip "/dev/full is missing"
fi
finish
