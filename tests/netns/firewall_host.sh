#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a gateway does to its host besides: the sysctls that it sets and puts back, what a kill leaves
# and the next start takes away, a host without nft or with sysctls that may not be written, and
# `taltun firewall show`.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/nodes.bash"
. "$(dirname "$0")/support/gateway.bash"

need_root
need_commands wg jq ping nft setpriv python3
need_taltund
gateway_net

forwarding() {
	in_ns gw cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | paste -sd' '
}

set_forwarding() {
	in_ns gw sysctl -qw "net.ipv4.ip_forward=$1" "net.ipv6.conf.all.forwarding=$2"
}

run_dir_is() {
	in_ns gw sh -c 'ls /run/taltun' | paste -sd' '
}

start() {
	tt_start gw "$TT_WORK/gw.toml"
}

stop() {
	tt_stop gw "$g"
}

echo "sysctls:"
gateway_config "ip_forward = true" 'subnets = ["10.9.0.0/24"]'
set_forwarding 0 0
check "start" start
equal "both are set" "1 1" "$(forwarding)"
check "stop" stop
equal "and put back" "0 0" "$(forwarding)"
set_forwarding 1 0
check "one that is set already" start
equal "both are set" "1 1" "$(forwarding)"
check "stop" stop
equal "stays" "1 0" "$(forwarding)"
set_forwarding 0 0
check "somebody turns one off meanwhile" start
set_forwarding 0 1
check "stop" stop
equal "and it stays off" "0 0" "$(forwarding)"
check "reloaded in and out" start
gateway_config 'subnets = ["10.9.0.0/24"]'
check "reload" in_ns gw taltun reload "$g"
equal "put back" "0 0" "$(forwarding)"
gateway_config "ip_forward = true" 'subnets = ["10.9.0.0/24"]'
check "reload" in_ns gw taltun reload "$g"
equal "set again" "1 1" "$(forwarding)"

check "stop" stop

# What a router in the next room says: it is one, for half an hour.
advertise() {
	in_ns w python3 -c '
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0),
         ("ff02::1", 0, 0, socket.if_nametoindex("v0")))
'
	in_ns gw ip -6 route show default | grep -q 'dev g4 proto ra'
}

echo "a host that has its own default route from router advertisements:"
check "it has" wait_for 20 advertise
: >"$(gateway_log)"
check "start" start
equal "IPv6 forwarding would cost it that, and is left" "1 0" "$(forwarding)"
check "it still has it" in_ns gw sh -c "ip -6 route show default | grep -q 'dev g4 proto ra'"
check "an error says what to do" grep -q \
	'level=error.*event=gateway.not_forwarding sysctl=net.ipv6.*g4 has.*hint="set net.ipv6.conf.g4.accept_ra = 2' "$(gateway_log)"
in_ns gw sysctl -qw net.ipv6.conf.g4.accept_ra=2
check "then a reload does it" in_ns gw taltun reload "$g"
equal "both are set" "1 1" "$(forwarding)"
check "and the route stays" in_ns gw sh -c "ip -6 route show default | grep -q 'dev g4 proto ra'"

echo "the engine crashes:"
made=$(grep -c event=firewall.made "$(gateway_log)")
kill -KILL "$(pgrep -P "$(tt_pid gw "$g")" -x taltun-engine)"
check "it comes back" wait_for 20 at_least 1 status gw "$g" .restarts
equal "still set" "1 1" "$(forwarding)"
check "and the table stands" has_table
equal "as it did" "$made" "$(grep -c event=firewall.made "$(gateway_log)")"

echo "killed, all of it:"
check "the interface goes" kill_gateway
equal "the sysctls are left" "1 1" "$(forwarding)"
check "so is the table" has_table
check "start" start
equal "set" "1 1" "$(forwarding)"
check "stop" stop
equal "and put back" "0 0" "$(forwarding)"
check "the table is gone" gone_table
check "start" start
check "killed again" kill_gateway
gateway_config
check "started without [gateway]" start
equal "put back" "0 0" "$(forwarding)"
check "the table is gone" gone_table
check "stop" stop
equal "nothing is left" "" "$(run_dir_is)"

echo "two gateways on one host:"
gateway_config "ip_forward = true" 'subnets = ["10.9.0.0/24"]'
other=$(ifname o)
sed "s/\"$g\"/\"$other\"/; s/10.77.0/10.78.0/g; s/fd77:/fd78:/g; s/51820/51821/; /10.8.0.0/d" \
	"$TT_WORK/gw.toml" >"$TT_WORK/other.toml"
chmod 600 "$TT_WORK/other.toml"
check "one starts" start
check "the other starts" tt_start gw "$TT_WORK/other.toml"
check "each has its table" in_ns gw nft list table inet "taltun_$other"
check "the first stops" stop
equal "the other still forwards" "1 1" "$(forwarding)"
check "and has its table" in_ns gw nft list table inet "taltun_$other"
check "it stops" tt_stop gw "$other"
equal "the last puts back" "0 0" "$(forwarding)"
equal "there is no table" "" "$(in_ns gw nft list tables)"

echo "taltun firewall show:"
show() {
	in_ns gw taltun firewall show "$@"
}
gateway_config "ip_forward = true" 'masquerade = ["g4"]' 'subnets = ["10.9.0.0/24", "fd09::/64"]'
check_not "nothing to show" show "$g"
check "start" start
check "it is printed" show "$g"
show >"$TT_WORK/shown"
equal "chains" "spoofed forward from_tunnel to_tunnel translate port_shadow" \
	"$(sed -n 's/^\tchain \([a-z_]*\) {/\1/p' "$TT_WORK/shown" | paste -sd' ')"
equal "no rule is without a comment" "" \
	"$(grep -P '^\t\t(?!(type|flags|comment|elements|\s))' "$TT_WORK/shown" | grep -v 'comment "')"
check "it says that it is as made" grep -q '^# It is as taltund has made it' "$TT_WORK/shown"
check "and that the host forwards" grep -qx '# net.ipv4.ip_forward = 1' "$TT_WORK/shown"
in_ns gw nft delete table inet "$table"
wait_for 20 has_table
check "what it prints is nft's" in_ns gw nft -c -f "$TT_WORK/shown"
equal "as JSON" "$g true true true" "$(show --json "$g" | jq -r '[.interface, .present, .as_made, .ipv4_forwarding] | join(" ")')"
nobody() {
	in_ns gw setpriv --reuid 65534 --regid 65534 --clear-groups -- "$TT_WORK/taltun" firewall show "$g"
}
chmod 711 "$TT_WORK" && cp "$TT_BIN/taltun" "$TT_WORK/taltun"
nobody >"$TT_WORK/nobody"
check "with a word on what is not known" grep -q 'not known: only root may ask the kernel' "$TT_WORK/nobody"
check "and the chains" grep -q 'chain port_shadow' "$TT_WORK/nobody"
# a stopped monitor puts nothing back
kill -STOP "$(tt_pid gw "$g")"
in_ns gw nft add rule inet "$table" forward counter accept
check_not "a rule of somebody else" show "$g"
show "$g" >"$TT_WORK/shown"
check "is shown" grep -q '^#   + counter accept' "$TT_WORK/shown"
in_ns gw nft delete table inet "$table"
check_not "a table that is gone" show "$g"
show "$g" >"$TT_WORK/gone" 2>&1
check "is said" grep -q "that taltund has made is gone" "$TT_WORK/gone"
kill -CONT "$(tt_pid gw "$g")"
check "both are put back" wait_for 20 show "$g"

echo "another udp_port:"
gateway_config "ip_forward = true" 'masquerade = ["g4"]'
sed -i 's/listen_port = 51820/listen_port = 51999/' "$TT_WORK/gw.toml"
check "reload" in_ns gw taltun reload "$g"
check "it is the one that is protected" wait_for 20 in_ns gw sh -c "nft list chain inet $table port_shadow | grep -q 'sport 51999'"
in_ns gw wg set "$g" listen-port 52000
check "also by wg" wait_for 20 in_ns gw sh -c "nft list chain inet $table port_shadow | grep -q 'sport 52000'"
check "which is nobody's change" show "$g"
check "stop" stop

echo "without nft:"
bare() {
	daemon_start gw "$g" env PATH=/nonexistent "$TT_BIN/taltund" -f --config "$TT_WORK/gw.toml"
}
gateway_config "ip_forward = true" 'masquerade = ["g4"]'
: >"$(gateway_log)"
check "the gateway starts" bare
check "a warning says what is missing, and how to get it" grep -q \
	'level=warn.*event=firewall.missing.*nft is not installed (install the package nftables)' "$(gateway_log)"
equal "the status too" missing "$(status gw "$g" .gateway.firewall)"
equal "in words" "missing, the log says why" "$(in_ns gw taltun status "$g" | sed -nE 's/^ *firewall +//p')"
check "reload" in_ns gw taltun reload "$g"
check "the warning is said again" said 2 event=firewall.missing
equal "it forwards all the same" 1 "$(in_ns gw cat /proc/sys/net/ipv4/ip_forward)"
gateway_config "firewall = true" "ip_forward = true" 'masquerade = ["g4"]'
in_ns gw taltun reload "$g" >"$TT_WORK/reload" 2>&1
check "a reload that insists fails, and says why" grep -q 'firewall = true.*nft is not installed' "$TT_WORK/reload"
check "stop" stop
gateway_config "firewall = true" "ip_forward = true" 'masquerade = ["g4"]'
: >"$(gateway_log)"
check_not "one that insists does not" bare
check "and says why" grep -q 'event=gateway.failed.*firewall = true.*nft is not installed' "$(gateway_log)"
equal "the sysctls were not touched" "0 0" "$(forwarding)"
tt_stop gw "$g" 2>/dev/null

echo "with the rights of the unit alone:"
caps=net_admin,net_raw,net_bind_service,bpf,dac_override
as_unit() {
	daemon_start gw "$g" setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs \
		--inh-caps "+${caps//,/,+}" --ambient-caps "+${caps//,/,+}" --bounding-set "-all,+${caps//,/,+}" -- \
		"$TT_WORK/taltund" -f --config "$TT_WORK/gw.toml"
}
cp "$TT_BIN/taltund" "$TT_WORK/taltund"
gateway_config "firewall = true" "ip_forward = true" 'masquerade = ["g4", "g5"]'
: >"$(gateway_log)"
check "the gateway starts" as_unit
check "the table is as made" show "$g"
equal "and it forwards" "1 1" "$(forwarding)"
check "a name that no link has is told" grep -q 'event=firewall.no_interface name=g5' "$(gateway_log)"
in_ns gw nft flush ruleset
check "what is flushed is put back" wait_for 20 show "$g"
check "stop" stop
equal "and put back" "0 0" "$(forwarding)"
check "the table is gone" gone_table

echo "sysctls that may not be written, as in the unit:"
read_only() {
	daemon_start gw "$g" unshare -m sh -c "mount --bind /proc/sys /proc/sys &&
		mount -o remount,bind,ro /proc/sys && exec '$TT_BIN/taltund' -f --config '$TT_WORK/gw.toml'"
}
gateway_config "ip_forward = true" 'subnets = ["10.9.0.0/24"]'
: >"$(gateway_log)"
check "the gateway starts" read_only
check "an error says which, and what to do" grep -q \
	'level=error.*event=gateway.not_forwarding sysctl=net.ipv4.ip_forward error="Read-only.*/etc/sysctl.d/70-taltun.conf' "$(gateway_log)"
show "$g" >"$TT_WORK/shown"
check "that nothing is forwarded" grep -q 'net.ipv4.ip_forward = 0: nothing of it is forwarded' "$TT_WORK/shown"
in_ns gw taltun reload "$g" >"$TT_WORK/reload" 2>&1
check "and a reload" grep -q 'cannot set net.ipv4.ip_forward = 1: Read-only' "$TT_WORK/reload"
set_forwarding 1 1
check "once they are set by other means" in_ns gw taltun reload "$g"
check "stop" stop
equal "they stay" "1 1" "$(forwarding)"
finish
