#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Cases 35 and 39 for the hub: system calls that fail, under strace. accept() for lack of
# descriptors and memory, the database's writes, the relay's sends, no memory at all, few
# descriptors from the start. Who is connected is served, nothing spins, and all is well afterwards.
# One namespace; the nodes are tests/tools/hub_client.c.
#
. "$(dirname "$0")/lib.sh"

need_root
need_commands jq strace prlimit setpriv sqlite3 python3
HUB=$TT_BIN/taltun-hub CLIENT=$TT_TOOLS/hub_client
for program in "$HUB" "$CLIENT" "$TT_TOOLS/relay_load"; do
	[ -x "$program" ] || skip_all "needs $program (make all tools)"
done
ns_add a
in_ns a ip addr add 198.51.100.1/32 dev lo # relays do not answer loopback addresses
D=$TT_WORK/hub PORT=14443
AT=127.0.0.1:$PORT

hub() { in_ns a timeout 10 "$HUB" "$@" --dir "$D"; }
serve() {
	bg_ns a "$TT_WORK/hub.log" "$HUB" serve --dir "$D"
	HUB_PID=$BG_PID
	wait_for 10 hub status
}
enroll() { in_ns a timeout 20 "$CLIENT" enroll "$1" "$TT_WORK/$2"; } # TOKEN NAME
connect() { # NAME: `tell NAME COMMAND`, what it hears is in NAME.out
	rm -f "$TT_WORK/$1.in"
	mkfifo "$TT_WORK/$1.in"
	: >"$TT_WORK/$1.out"
	# shellcheck disable=SC2016 # expanded by the inner shell
	bg_ns a "$TT_WORK/$1.out" sh -c 'exec <>"$1"; shift; exec "$@"' sh \
		"$TT_WORK/$1.in" "$CLIENT" run "$TT_WORK/$1"
}
heard() { grep -q -- "$2" "$TT_WORK/$1.out"; }
welcome() { connect "$1" && wait_for 10 heard "$1" '^welcome'; }
served() { # the node that is connected all the time
	: >"$TT_WORK/gw.out"
	printf 'ping 20\n' 1<>"$TT_WORK/gw.in" # does not wait where it has ended
	wait_for 20 heard gw '^pong count=20'
}
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
injected() { grep -c INJECTED "$TT_WORK/trace.txt"; }

# fails PID CALLS ERROR: they do in all its threads, until works.
all_traced() {
	local thread
	for thread in /proc/"$1"/task/*; do
		grep -q 'TracerPid:[[:space:]]*[1-9]' "$thread/status" || return 1
	done
}
fails() {
	: >"$TT_WORK/trace.txt"
	strace -f -qq -o "$TT_WORK/trace.txt" -e "trace=$2" -e "inject=$2:error=$3" -p "$1" \
		</dev/null >"$TT_WORK/strace.log" 2>&1 &
	tracer=$!
	tt_pids+=("$tracer")
	wait_for 5 all_traced "$1"
}
works() { kill_pids 2 "$tracer"; }

check "init" hub init --name "$AT"
printf '[hub]\nlisten = ["%s"]\n[stun]\nudp_port = 13478\n[relay]\nudp_port = 13479\n' "$AT" >"$D/hub.toml"
check "serves" serve
check "a gateway enrols" enroll "$(hub token create --name gw --role gateway)" gw
check "and is connected" welcome gw
for n in l1 l2; do
	check "laptop $n enrols" enroll "$(hub token create --name $n)" $n
done
fails "$HUB_PID" accept4 ENOMEM || skip_all "may not trace: $(head -n 1 "$TT_WORK/strace.log")"
works

echo "case 35: accept fails"
for error in EMFILE ENFILE ENOMEM ENOBUFS; do
	fails "$HUB_PID" accept4 $error || fail "strace"
	ticks=$(cpu_ticks "$HUB_PID")
	: >"$TT_WORK/many.out"
	bg_ns a "$TT_WORK/many.out" python3 "$TT_ROOT/tests/netns/support/slow_clients.py" 127.0.0.1 $PORT 20
	many=$BG_PID
	check "$error: many connect" wait_for 60 grep -q '^open' "$TT_WORK/many.out"
	hub status >/dev/null 2>&1 & # the control socket's accept fails, too
	asker=$!
	sleep 1
	check "$error: who is connected is served" served
	less "$error: it was refused" 2 "$(injected)"
	less "$error: and not over and over" "$(injected)" 400
	less "$error: CPU ticks" $(($(cpu_ticks "$HUB_PID") - ticks)) 60
	works
	kill_pids 1 "$many"
	wait "$asker"
	check "$error: afterwards a node connects" welcome l1
	check "$error: status is told" wait_for 5 hub status
done
check "it said so: descriptors" grep -q 'event=listener.no_descriptors .*listener=nodes' "$TT_WORK/hub.log"
check "it said so: memory" grep -q 'event=listener.failed .*listener=nodes' "$TT_WORK/hub.log"
less "in few lines" "$(grep -c event=listener "$TT_WORK/hub.log")" 100

echo "case 39: the database cannot be written"
# SQLite tries EIO from a sync no second time, and takes ENOSPC for a full disk.
n=0
for fault in pwrite64:EIO pwrite64:ENOSPC fdatasync,fsync:EIO ftruncate,pwrite64:EIO; do
	n=$((n + 1))
	token=$(hub token create --name late-$n)
	fails "$HUB_PID" "${fault%:*}" "${fault#*:}" || fail "strace"
	check_not "$fault: an enrolment fails" enroll "$token" late
	check "$fault: who is connected is served" served
	less "$fault: it was refused" 0 "$(injected)"
	works
	check "$fault: afterwards the same token works" enroll "$token" late
	rm -rf "$TT_WORK/late"
	equal "$fault: the database is whole" ok "$(sqlite3 "file:$D/hub.db?mode=ro" 'PRAGMA integrity_check')"
done
check "it said so" grep -q 'level=error .*event=store' "$TT_WORK/hub.log"

echo "case 35: no memory"
limit() {
	setpriv --reuid "$(id_of Uid)" --regid "$(id_of Gid)" --clear-groups prlimit --pid "$HUB_PID" --as="$1:"
}
id_of() { awk -v what="$1:" '$1 == what { print $2 }' "/proc/$HUB_PID/status"; }
no_memory() {
	check "the limit is set" limit "$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$HUB_PID/status")"
	bg_ns a "$TT_WORK/many.out" python3 "$TT_ROOT/tests/netns/support/slow_clients.py" 127.0.0.1 $PORT 300
	many=$BG_PID
	check "300 connections want memory that is not there" wait_for 20 grep -q '^open' "$TT_WORK/many.out"
	for _ in 1 2 3; do
		hub status >/dev/null 2>&1
		hub token create --name poor >/dev/null 2>&1
	done
	kill_pids 1 "$many"
	check "the limit is lifted" limit unlimited
}
# a sanitizer ends the process where it gets no memory itself
if grep -qa __asan_init "$HUB"; then
	skip "no memory: not with AddressSanitizer"
else
	no_memory
fi
check "a node connects" wait_for 20 welcome l2
served || check "who lost its connection for lack of memory has one again" wait_for 20 welcome gw
check "who is connected is served" served
check "status is told" wait_for 5 hub status
equal "it is the same hub" "$HUB_PID" "$(hub status --json | jq .pid)"

echo "case 35: few descriptors from the start"
kill_pids 5 "$HUB_PID"
worked=0 refused=0
for n in 4 6 8 10 12 14 16 18 20 24 28 32 48 64; do
	: >"$TT_WORK/few.log"
	bg_ns a "$TT_WORK/few.log" prlimit --nofile=$n:$n "$HUB" serve --dir "$D"
	pid=$BG_PID
	settled() { pid_gone "$pid" || { [ "$n" -ge 16 ] && hub status; }; }
	wait_for 5 settled
	if pid_gone "$pid"; then
		refused=$((refused + 1))
		[ -s "$TT_WORK/few.log" ] || fail "$n descriptors: it ended without a word"
		wait "$pid"
		rc=$?
		[ $rc -eq 1 ] || fail "$n descriptors: status $rc, $(tail -n 1 "$TT_WORK/few.log")"
	elif hub status >/dev/null; then
		worked=$((worked + 1))
		grep -q event=hub.few_descriptors "$TT_WORK/few.log" || fail "$n descriptors: it does not say that they are few"
	fi
	kill_pids 5 "$pid"
done
check "with too few it ends, and says why ($refused)" test $refused -gt 0
check "with some it works, and says so ($worked)" test $worked -gt 0
check "serves again" serve
check "the gateway is back" welcome gw

echo "case 35: the relay's sends are refused"
bg_ns a "$TT_WORK/relay.out" "$TT_TOOLS/relay_load" serve 198.51.100.1 13500
relay=$BG_PID
check "a relay" wait_for 5 test -s "$TT_WORK/relay.out"
read -r one two < <(head -n 1 "$TT_WORK/relay.out")
load() { in_ns a timeout 20 "$TT_TOOLS/relay_load" "taltun:198.51.100.1:13500:$1" "${@:2}"; }
# Both are bound before anything fails.
load "$two" echo 15 >"$TT_WORK/echo.txt" 2>&1 &
echoes=$!
load "$one" send 6 200 200 >"$TT_WORK/sent.json" 2>&1 &
sender=$!
sleep 0.7
for error in ENOBUFS EPERM ENOMEM; do
	ticks=$(cpu_ticks "$relay")
	fails "$relay" sendmsg,sendmmsg $error || fail "strace"
	sleep 1
	works
	less "$error: it was refused" 20 "$(injected)"
	less "$error: and not over and over" "$(injected)" 1500
	less "$error: CPU ticks" $(($(cpu_ticks "$relay") - ticks)) 60
done
wait "$sender"
load "$one" ping 20 >"$TT_WORK/ping.txt" 2>&1
kill_pids 1 "$echoes"
equal "afterwards all comes through: answers to 20" 20 \
	"$(sed -n 's/.*"answers": \([0-9]*\).*/\1/p' "$TT_WORK/ping.txt")"
finish
