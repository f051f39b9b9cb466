#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The level of the log changes while a node runs, in its processes and without a word to its peers;
# it outlives an engine and ends with a reload. What the journal gets begins with its priority.
#
#   a [10.77.0.1]~~~~~~~~~~~~~~[10.77.0.2] b
#     [v0 10.8.0.1]------------[v0 10.8.0.2]
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"

need_root
need_commands wg jq socat ping
need_taltund
ns_add a b
veth a v0 10.8.0.1/24 b v0 10.8.0.2/24
ta=$(ifname a) tb=$(ifname b)
wg_keys a b
toml "$TT_WORK/a.toml" "$ta" a 10.77.0.1/24 "listen_port = 51820"
toml_datapath "$TT_WORK/a.toml" "workers = 1"
toml_peer "$TT_WORK/a.toml" b 10.77.0.2/32
toml "$TT_WORK/b.toml" "$tb" b 10.77.0.2/24 "listen_port = 51820"
toml_datapath "$TT_WORK/b.toml" "workers = 1"
toml_peer "$TT_WORK/b.toml" a 10.77.0.1/32 'endpoint = "10.8.0.1:51820"'
log=$(tt_log a "$ta")

level() { in_ns a taltun log-level "$@"; }
level_is() { [ "$(level)" = "$ta: $1" ]; }
status_of() { # COMMAND...: its exit status
	"$@" >/dev/null 2>&1
	echo $?
}
another_engine() {
	local now
	now=$(engine_pid a "$ta")
	[ -n "$now" ] && [ "$now" != "$engine" ]
}

check "a node starts" tt_start a "$TT_WORK/a.toml"
check "and another" tt_start b "$TT_WORK/b.toml"
check "they talk" wait_for 20 in_ns b ping -c 1 -W 1 10.77.0.1
equal "the level" "$ta: info" "$(level)"
equal "by the name of the interface, as JSON" "{\"interface\":\"$ta\",\"level\":\"info\"}" \
	"$(level "$ta" --json)"
check_not "nothing is said of handshakes" grep -q 'level=debug' "$log"
before=$(handshakes a "$ta" b)
check "debug" level debug
equal "is in force" "$ta: debug" "$(level)"
check "and the monitor's too" wait_for 20 grep -q 'process=monitor event=log.level is=debug' "$log"
equal "no session notices" "$before" "$(handshakes a "$ta" b)"
tt_stop b "$tb"
check "the other node comes anew" tt_start b "$TT_WORK/b.toml"
check "and is there" wait_for 20 in_ns b ping -c 1 -W 1 10.77.0.1
check "the engine says more" wait_for 20 grep -q 'level=debug process=engine event=handshake.done' "$log"

engine=$(engine_pid a "$ta")
kill -KILL "$engine"
check "an engine that was killed is there again" wait_for 20 another_engine
check "with the level from before" wait_for 20 level_is debug
check "quiet" level "$ta" error
kill -HUP "$(tt_pid a "$ta")"
check "a reload takes that of the file" wait_for 20 level_is info
check "and says so" wait_for 20 grep -q event=config.reloaded "$log"

equal "no such level" 2 "$(status_of level "$ta" loud)"
equal "no such interface" 3 "$(status_of level nosuch)"
equal "too much said" 2 "$(status_of level "$ta" info info)"
tt_stop a "$ta"
equal "none is up" 3 "$(status_of level)"

# systemd says by the device and inode of stderr that it is the journal's
: >"$log"
check "a node whose log is the journal" tt_start a "$TT_WORK/a.toml" --log-level debug
check_not "a file is not" grep -q '^<[0-9]>' "$log"
tt_stop a "$ta"
: >"$log"
JOURNAL_STREAM=$(stat -c %d:%i "$log")
export JOURNAL_STREAM
check "named as such" tt_start a "$TT_WORK/a.toml"
unset JOURNAL_STREAM
equal "every line has its priority" "$(grep -c . "$log")" "$(grep -c '^<[0-9]>ts=' "$log")"
check "of its level" grep -q '^<6>ts=[^ ]* level=info process=engine event=engine.ready' "$log"
finish
