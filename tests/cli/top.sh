#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# taltun top on real terminals: what it draws and after a resize, its keys, and that every way out
# leaves the terminal as it was. A fake daemon answers; tmux is the terminal that is looked at.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun python3 tmux jq
export TALTUN_RUN_DIR=$TT_WORK/run LC_ALL=C.UTF-8
unset COLUMNS LINES NO_COLOR TMUX
mkdir "$TALTUN_RUN_DIR"
support=$TT_ROOT/tests/cli/support
socket=$TALTUN_RUN_DIR/tt0.sock

# start_daemon [PEERS [OPTION...]]
start_daemon() {
	"$support/fake_daemon.py" "$socket" --peers "${1:-200}" "${@:2}" 2>"$TT_WORK/daemon.log" &
	daemon=$!
	tt_pids+=("$daemon")
	wait_for 10 test -S "$socket"
}
stop_daemon() { kill_pids 5 "$daemon"; }

# --- on a terminal ---------------------------------------------------------------------------

mux() { tmux -f /dev/null -S "$TT_WORK/tmux" "$@"; }
picture() { mux capture-pane -p; }
has() { picture | grep -qE -- "$1"; }
lacks() { ! has "$1"; }
shows() { wait_for 15 has "$1"; }
widest() { picture | python3 -c 'import sys; print(max(len(l.rstrip("\n")) for l in sys.stdin))'; }

# open COLUMNS ROWS COMMAND...
open_terminal() {
	local columns=$1 rows=$2
	shift 2
	mux new-session -d -x "$columns" -y "$rows" "$*; echo \"ended with \$?\"; sleep 300"
}
close_terminal() { mux kill-server 2>/dev/null; }
trap 'close_terminal; tt_cleanup' EXIT

start_daemon
open_terminal 80 24 taltun top tt0 --interval 0.3
check "draws the interface" shows '^tt0  up 3 hours, 5 minutes  native copy  hub hub.example.com up, 12' || finish
check "throughput" shows '^in +[0-9.]+[MG]b/s +[0-9.]+k packets/s    out +[0-9.]+Mb/s'
check "peers by state" shows '^peers 200: 125 online, 25 idle, 25 offline, 25 never$'
check "and by path" shows '^paths [0-9]+ direct, [0-9]+ punched, [0-9]+ relay_udp, [0-9]+ relay_tcp$'
check "drops that move, and no others" shows '^drops rx_replay [0-9]+/s$'
check "workers" shows '^workers busy, batch in/out  0: 0% 30/4 .* 3: HUNG 30/4$'
check "the peers' titles" shows '^PEER +PATH +IN b/s OUT b/s PKT/S +RTT +AGE +RX +TX$'
check "peers by their rate" shows '^[^ ]+ +(direct|punched|relay_...) +[0-9.]+M'
check "as many as there is room for" shows '^1-15 of 200  q quit'
check_not "no wild bytes from a name" eval "mux capture-pane -p -e | grep -q \$'\\e\\[31mname'"
check "names are made printable" shows '^bad\?\[31m\?name\?-'

mux send-keys n
check "n sorts by name" shows '^[+/0-9][A-Za-z0-9+/]+…'
mux send-keys G
check "G goes to the end" shows '^186-200 of 200'
mux send-keys Up
check "an arrow scrolls back" shows '^185-199 of 200'
mux send-keys Home
check "Home goes to the beginning" shows '^1-15 of 200'
mux send-keys NPage Down
check "a page and one more" shows '^17-31 of 200'
mux send-keys h
check "h sorts by handshake" shows '   2m '
mux send-keys p
check "p pauses" shows '^PAUSED'
before=$(picture)
sleep 1.2
equal "and nothing moves" "$before" "$(picture)"
mux send-keys p
check "p goes on" wait_for 10 lacks PAUSED

mux resize-window -x 120 -y 10
check "a wider terminal has endpoints" shows '^PEER.* ENDPOINT$'
check "a lower one fewer peers" shows '^[0-9]+-[0-9] of 200|^[0-9]+-[0-9]+ of 200'
mux resize-window -x 30 -y 4
check "four lines: one of the interface, three of the table" shows '^tt0  up'
check "within 30 columns" test "$(widest)" -le 30
mux resize-window -x 5 -y 2
check "five columns and two lines do no harm" shows '^tt0'
mux resize-window -x 80 -y 24
check "and back" shows '^peers 200: 125 online'

kill -USR1 "$daemon"
check "a daemon that does not answer is told" shows 'no answer for [0-9]+ s'
kill -USR1 "$daemon"
check "until it does" wait_for 10 lacks 'no answer'
# one that takes calls and hangs up, as a daemon does that has too many clients
stop_daemon
close_terminal
start_daemon 200 --hang-up 2
open_terminal 80 24 taltun top tt0 --interval 0.3
check "a daemon that hangs up is told" shows 'the daemon has hung up'
sleep 1
check "and called again, but not all the time" test "$(grep -c call "$TT_WORK/daemon.log")" -le 60
called() { [ "$(grep -c call "$TT_WORK/daemon.log")" -ge 3 ]; }
check "at least some times" wait_for 20 called
stop_daemon
check "it ends with the daemon" shows '^ended with 3$'
check "and says so" shows '^taltun: tt0: the daemon has ended$'
check_not "on the screen from before" has packets/s
close_terminal

# --- ways out --------------------------------------------------------------------------------

# leaves NAME STATUS ACTION...: the terminal is as it was
leaves() {
	local name=$1 want=$2 result
	shift 2
	result=$(TERM=xterm-256color "$support/pty_run.py" wait:packets/s "$@" -- taltun top tt0 --interval 0.3 2>&1)
	equal "$name: exit status" "$want" "$(jq -r .status <<<"$result" 2>/dev/null || echo "$result")"
	equal "$name: settings, screen and cursor are back" "true true true" \
		"$(jq -r '"\(.restored) \(.left) \(.cursor)"' <<<"$result" 2>/dev/null)"
}

start_daemon 20
leaves "q" 0 key:q
leaves "Ctrl-C" 0 'key:\x03'
leaves "SIGTERM" 0 signal:TERM
leaves "SIGHUP" 0 signal:HUP
leaves "SIGINT after resizes" 0 resize:1x1 wait: resize:200x60 wait: resize:7x3 signal:INT
leaves "q while it waits for an answer" 0 exec:"kill -USR1 $daemon" wait:answer key:q
kill -USR1 "$daemon"
leaves "the daemon ends" 3 exec:"kill $daemon"
wait "$daemon" 2>/dev/null
start_daemon 20
result=$(TERM=xterm-256color "$support/pty_run.py" wait:packets/s hangup -- taltun top tt0 2>&1)
check "a terminal that goes away ends it" eval "jq -e '.status == 0' <<<'$result' >/dev/null"

# --- no terminal -----------------------------------------------------------------------------

# refused NAME PATTERN ACTION... -- COMMAND...
refused() {
	local name=$1 pattern=$2 result
	shift 2
	result=$("$support/pty_run.py" "$@" 2>&1)
	equal "$name: wrong usage" 2 "$(jq -r .status <<<"$result")"
	check "$name: says what to do" eval "jq -r .after <<<'$result' | grep -qE '$pattern'"
}

refused "TERM=dumb" 'TERM=dumb.*--once' -- env TERM=dumb taltun top tt0
refused "no TERM" 'TERM is not set.*--json' -- env -u TERM taltun top tt0
result=$("$support/pty_run.py" -- env TERM=nonsense taltun top tt0 2>&1)
equal "an unknown TERM" "1 true" "$(jq -r '"\(.status) \(.restored)"' <<<"$result")"
check "says that --once works" eval "jq -r .after <<<'$result' | grep -q -- --once"
taltun top tt0 >"$TT_WORK/out" 2>"$TT_WORK/err" </dev/null
equal "no terminal" 2 $?
check "says so" grep -q 'this is no terminal.*--once' "$TT_WORK/err"
check_not "and prints nothing else" test -s "$TT_WORK/out"

# --- for scripts -----------------------------------------------------------------------------

once() { timeout 20 taltun top tt0 --interval 0.2 "$@" </dev/null 2>&1; }
once --once >"$TT_WORK/out"
equal "--once" 0 $?
equal "shows all peers" 20 "$(sed '1,/^PEER/d' "$TT_WORK/out" | wc -l)"
check_not "without colours or keys" eval "grep -qE \$'\\e|q quit' '$TT_WORK/out'"
once --once --sort name >"$TT_WORK/out"
check "--sort" eval "sed '1,/^PEER/d' '$TT_WORK/out' | head -n 2 | tail -n 1 | grep -q '^a-node'"
COLUMNS=60 once --once >"$TT_WORK/out"
check "COLUMNS bounds it" python3 -c 'import sys; sys.exit(max(map(len, open(sys.argv[1]).read().split("\n"))) > 60)' "$TT_WORK/out"
once --once --json >"$TT_WORK/out"
check "--json is one object with rates" jq -es 'length == 1 and .[0].v == 1 and .[0].interface == "tt0"
	and .[0].rx_bits_per_s > 0 and (.[0].peers | length) == 20 and (.[0].workers | length) == 4
	and .[0].workers[1].busy > 0 and .[0].drops_per_s.rx_replay > 0' "$TT_WORK/out"
check "--json goes on, a line per interval" eval \
	"timeout 20 taltun top tt0 --json --interval 0.1 </dev/null | head -n 3 | jq -es 'length == 3'"
timeout 20 taltun top --json --interval 0.1 </dev/null >"$TT_WORK/out" 2>"$TT_WORK/err" &
reader=$!
tt_pids+=("$reader")
check "one interface needs no name" wait_for 10 test -s "$TT_WORK/out"
stop_daemon
wait "$reader"
equal "it ends with the daemon, too" 3 $?
for bad in --interval=0 --interval=soon --interval=nan --interval=1e9 --sort=size --frobnicate; do
	once "$bad" >/dev/null
	equal "$bad is wrong usage" 2 $?
done
taltun top >"$TT_WORK/out" 2>"$TT_WORK/err" </dev/null
equal "nothing is up" 3 $?
finish
