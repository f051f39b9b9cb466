#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The units of systemd: valid, hardened as promised, and not too hard: what the daemons do under the
# rights and system calls that they leave is tried here with setpriv and looked at with strace.
#
. "$(dirname "$0")/../netns/lib.sh"

need_commands taltun taltund make python3
units=$TT_ROOT/packaging/systemd
stage=$TT_WORK/stage

check "make install" make -s -C "$TT_ROOT" "DESTDIR=$stage" PREFIX=/usr install
names=("taltund@.service:25")
[ ! -x "$stage/usr/sbin/taltun-hub" ] || names+=("taltun-hub.service:15")
for u in "${names[@]}"; do
	check "${u%:*} is installed" test -s "$stage/usr/lib/systemd/system/${u%:*}"
done
check "a user for the node is declared" grep -q '^u taltun ' "$stage/usr/lib/sysusers.d/taltun.conf"

# --- systemd-analyze -------------------------------------------------------------------------

if command -v systemd-analyze >/dev/null; then
	for u in "${names[@]}"; do
		check "${u%:*}: exposure of at most ${u#*:} in 100" systemd-analyze security --no-pager \
			--offline=true "--threshold=${u#*:}" "$units/${u%:*}"
		# the programs are not installed here, which is no fault of the unit
		equal "${u%:*} has no mistake" "" "$(systemd-analyze verify --man=no "$units/${u%:*}" 2>&1 |
			grep -F "$(basename "${u%:*}" .service)" | grep -v 'is not executable: No such file')"
	done
else
	skip "systemd-analyze is not installed: exposure and form of the units"
fi

# --- a node with the unit's rights -----------------------------------------------------------

gone() { ! kill -0 "$1" 2>/dev/null; }

# value FILE KEY: the last one, of several words
value() { sed -n "s/^$2=//p" "$units/$1" | tail -n 1; }

# Not allowed by the unit: system calls on standard input, one a line.
forbidden_by() {
	local allow deny
	systemd-analyze syscall-filter --no-pager >"$TT_WORK/sets"
	allow=$(sed -n 's/^SystemCallFilter=\([^~]\)/\1/p' "$units/$1")
	deny=$(sed -n 's/^SystemCallFilter=~//p' "$units/$1")
	python3 "$TT_ROOT/tests/cli/support/syscalls.py" "$TT_WORK/sets" "$allow" "$deny"
}

can_be_node() {
	[ "$(id -u)" -eq 0 ] && [ -c /dev/net/tun ] && command -v setpriv >/dev/null && command -v nft >/dev/null
}

caps_of() { value "$1" CapabilityBoundingSet | sed 's/CAP_/+/g; s/ /,/g' | tr '[:upper:]' '[:lower:]'; }

node_with_the_units_rights() {
	local caps
	caps=$(caps_of taltund@.service)
	ns_add a
	tt=$(ifname a)
	mkdir "$TT_WORK/etc"
	(umask 077 && taltun genkey >"$TT_WORK/etc/node.key")
	cat >"$TT_WORK/etc/$tt.toml" <<-END
		[interface]
		private_key_file = "$TT_WORK/etc/node.key"
		address = ["10.77.0.1/24"]
		listen_port = 51820
		[gateway]
		firewall = true
		ip_forward = true
		subnets = ["192.168.50.0/24"]
		masquerade = ["v0"]
		[metrics]
		listen = "unix:/run/taltun/metrics"
	END
	chmod 755 "$TT_WORK"
	# what the unit cannot set is set before
	router a
	in_ns a chown 65534:65534 /run/taltun /run/wireguard /var/lib/taltun
	bg_ns a "$TT_WORK/manager.log" python3 -u "$TT_ROOT/tests/cli/support/manager.py" "$TT_WORK/notify"
	wait_for 20 test -S "$TT_WORK/notify"
	tracing=()
	! command -v strace >/dev/null || tracing=(strace -f -qq -o "$TT_WORK/trace")
	bg_ns a "$TT_WORK/node.log" env NOTIFY_SOCKET="$TT_WORK/notify" WATCHDOG_USEC=3000000 \
		"${tracing[@]}" setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set "-all,$caps" \
		--inh-caps "$caps" --ambient-caps "$caps" --no-new-privs \
		"$TT_BIN/taltund" --foreground --config "$TT_WORK/etc/$tt.toml"
	node_pid=$BG_PID
	check "a node with the unit's rights is ready" wait_for 20 grep -q '^READY=1' "$TT_WORK/manager.log"
	check "and keeps the watchdog content" wait_for 20 grep -q '^WATCHDOG=1' "$TT_WORK/manager.log"
	check "its interface has its address" in_ns a ip address show dev "$tt" to 10.77.0.1
	check "its firewall is made" in_ns a nft list table inet "taltun_$tt"
	check "its metrics are served" in_ns a sh -c "printf 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n' |
		socat -t 5 - UNIX-CONNECT:/run/taltun/metrics | grep -q '^taltun_interface_up'"
	check "ExecReload" in_ns a taltun reload "$tt"
	check "is told" wait_for 20 grep -q '^RELOADING=1' "$TT_WORK/manager.log"
	check "it ends" in_ns a taltun down "$tt"
	check "and says so" wait_for 20 grep -q '^STOPPING=1' "$TT_WORK/manager.log"
	wait_for 20 gone "$node_pid"
}

if can_be_node; then
	node_with_the_units_rights
	if [ -s "$TT_WORK/trace" ] && command -v systemd-analyze >/dev/null; then
		# what comes before taltund is setpriv's; setuid is tried to see it fail, and of the two
		# others neither is needed
		equal "the unit allows each of its system calls" "" "$(
			sed -n '/execve("[^"]*taltund"/,$p' "$TT_WORK/trace" |
				sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' | sort -u |
				forbidden_by taltund@.service | grep -vxE 'execve|sched_setaffinity|setrlimit|setuid' | paste -sd' '
		)"
	else
		skip "strace or systemd-analyze is not installed: system calls of a node"
	fi
else
	skip "needs root, /dev/net/tun, nft and setpriv: a node with the unit's rights"
fi

# --- a hub -----------------------------------------------------------------------------------

hub_with_the_units_rights() {
	local caps hub=$TT_WORK/hub
	caps=$(caps_of taltun-hub.service)
	chmod 755 "$TT_WORK"
	ns_add h
	check "a hub is made" taltun-hub --dir "$hub" init --name 127.0.0.1:14443
	printf '[hub]\nlisten = ["127.0.0.1:14443"]\n[stun]\nudp_port = 0\n[relay]\nudp_port = 0\n' >"$hub/hub.toml"
	chown -h 65534:65534 "$hub" "$hub"/hub.db* "$hub/server.crt" "$hub/server.key"
	bg_ns h "$TT_WORK/manager-hub.log" python3 -u "$TT_ROOT/tests/cli/support/manager.py" "$TT_WORK/notify-hub"
	wait_for 20 test -S "$TT_WORK/notify-hub"
	# shellcheck disable=SC2016 # for the shell inside
	bg_ns h "$TT_WORK/hub.log" env NOTIFY_SOCKET="$TT_WORK/notify-hub" WATCHDOG_USEC=3000000 \
		sh -c 'key=$1; shift; exec "$@" <"$key"' sh "$hub/ca.key" setpriv --reuid 65534 --regid 65534 \
		--clear-groups --bounding-set "-all,$caps" --inh-caps "$caps" --ambient-caps "$caps" \
		--no-new-privs "$TT_BIN/taltun-hub" --dir "$hub" serve --ca-key-stdin
	hub_pid=$BG_PID
	check "it serves without the right to read its CA's key" \
		wait_for 20 grep -q '^READY=1' "$TT_WORK/manager-hub.log"
	check "and keeps the watchdog content" wait_for 20 grep -q '^WATCHDOG=1' "$TT_WORK/manager-hub.log"
	equal "and has kept nothing of it" /dev/null "$(readlink "/proc/$hub_pid/fd/0")"
	kill -HUP "$hub_pid"
	check "a reload is told" wait_for 20 grep -q '^RELOADING=1' "$TT_WORK/manager-hub.log"
	kill "$hub_pid"
	check "and the end" wait_for 20 grep -q '^STOPPING=1' "$TT_WORK/manager-hub.log"
	check "within its time" wait_for 5 gone "$hub_pid"
}

if [ -x "$TT_BIN/taltun-hub" ] && [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	hub_with_the_units_rights
else
	skip "needs root, taltun-hub and setpriv: a hub with the unit's rights"
fi
finish
