#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A token becomes a node: enrolment with a real hub, what is written and with which modes, and
# everything that may go wrong on the way, which must leave nothing behind. One namespace.
. "$(dirname "$0")/lib.sh"

need_root
need_commands jq python3
HUB=$TT_BIN/taltun-hub
[ -x "$HUB" ] || skip_all "make taltun-hub first"
ns_add a
in_ns a ip link set lo up
D=$TT_WORK/hub C=$TT_WORK/etc S=$TT_WORK/lib PORT=14444
AT=127.0.0.1:$PORT
I=te$$
export TALTUN_STATE_DIR=$S TALTUN_RUN_DIR=$TT_WORK/run TALTUN_WG_DIR=$TT_WORK/wg
mkdir -p "$TT_WORK/run" "$TT_WORK/wg"

hub() { in_ns a "$HUB" "$@" --dir "$D"; }
token() { hub token create "$@" | grep '^taltun://'; }
enroll() { in_ns a "$TT_BIN/taltun" enroll --config-dir "$C" --interface "$I" "$@"; }
left_behind() { find "$C" "$S" -mindepth 1 2>/dev/null; }
# NAME PATTERN COMMAND... : it fails, says this, and leaves nothing
refused() {
	local name=$1 want=$2 out
	shift 2
	if out=$("$@" 2>&1); then
		fail "$name: it went through"
		return
	fi
	case $out in
	*"$want"*) pass "$name" ;;
	*)
		fail "$name"
		echo "  want $want"
		echo "  got  $out"
		;;
	esac
	equal "$name: nothing is left" "" "$(left_behind)"
}

check "init" hub init --name "$AT"
printf '[hub]\nlisten = ["%s"]\n' "$AT" >"$D/hub.toml"
bg_ns a "$TT_WORK/hub.log" "$HUB" serve --dir "$D"
HUB_PID=$BG_PID
wait_for 20 hub status >/dev/null || fail "the hub does not answer"
mkdir -p "$C"

# --- what does not work ------------------------------------------------------------------------

T=$(token --name laptop)
case $T in
taltun://*) pass "a token" ;;
*) fail "a token: $T" ;;
esac
refused "no token" "needs the token" enroll
refused "half a token" "the token is not valid" enroll "${T%??}"
refused "a URL" "does not begin with taltun://" enroll "https://$AT/"
refused "a prefix that is none" "expected a prefix" enroll --accept lan "$T"
refused "an interface that is none" "cannot name an interface" enroll --interface 'a b' "$T"
refused "a hub that is not there" "cannot reach the hub at 127.0.0.1:1" \
	enroll --hub-address 127.0.0.1:1 "$T"
refused "a hub without a name" "cannot find the hub" enroll --hub-address no.such.invalid:443 "$T"
other=$(printf %s "$T" | sed 's/\(.*\.\)./\1B/; t' | sed 's/.$/A/')
refused "another CA" "its CA has another fingerprint" enroll "$other"
id=${T##*/}
unknown="${T%/*}/AAAAAAAAAAAAAAAA.${id#*.}"
refused "an unknown token" "the token is unknown" enroll "$unknown"
hub_stun=$(hub status --json | jq .counters.enrolled 2>/dev/null)
equal "nobody was enrolled so far" 0 "${hub_stun:-0}"
short=$(token --name late --expires 1s)
sleep 1.2
refused "a late token" "expired" enroll "$short"
bg_ns a "$TT_WORK/nc.log" python3 -c "
import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', 14445)); s.listen(5)
while True:
    c, _ = s.accept(); c.sendall(b'SSH-2.0-x\r\n'); c.close()"
wait_for 20 in_ns a bash -c '</dev/tcp/127.0.0.1/14445' 2>/dev/null
refused "something else there" "look whether that is" enroll --hub-address 127.0.0.1:14445 "$T"
echo old >"$C/$I.toml"
out=$(enroll "$T" 2>&1) && fail "a configuration was overwritten"
case $out in
*"is there already"*) pass "a configuration is left alone" ;;
*) fail "a configuration is left alone: $out" ;;
esac
equal "as it was" old "$(cat "$C/$I.toml")"
rm "$C/$I.toml"
equal "and nothing beside it" "" "$(left_behind)"

# --- what works --------------------------------------------------------------------------------

out=$(printf '%s\n' "$T" | enroll --no-start --json --accept 192.168.50.7/24 --accept 0.0.0.0/0 - 2>"$TT_WORK/err")
equal "enrolled, with the token from standard input" 0 $?
[ -s "$TT_WORK/err" ] && cat "$TT_WORK/err"
equal "its name" laptop "$(jq -r .name <<<"$out")"
equal "not started" false "$(jq -r .started <<<"$out")"
case $(jq -r '.addresses[0]' <<<"$out") in
10.90.*) pass "an address of the pool" ;;
*) fail "an address of the pool: $out" ;;
esac
equal "the pool" 10.90.0.0/16 "$(jq -r '.networks[0]' <<<"$out")"
for f in "$C/$I.key" "$S/$I.hub/node.key"; do
	equal "mode of $(basename "$f")" 600 "$(stat -c %a "$f")"
done
equal "mode of the folder" 700 "$(stat -c %a "$S/$I.hub")"
equal "no other file" 5 "$(find "$C" "$S" -type f | wc -l)"
check "the configuration is good" in_ns a "$TT_BIN/taltun" check-config "$C/$I.toml"
check "accept is in it" grep -qx 'accept = \["192.168.50.0/24", "0.0.0.0/0"\]' "$C/$I.toml"
check "the hub knows it" sh -c "'$HUB' node list --dir '$D' | grep -q laptop"
before=$(find "$C" "$S" -type f -exec sha256sum {} + | sort)
refused_again=$(enroll "$T" 2>&1)
case $refused_again in
*"is there already"*) pass "not over an earlier enrolment" ;;
*) fail "not over an earlier enrolment: $refused_again" ;;
esac
equal "which is as it was" "$before" "$(find "$C" "$S" -type f -exec sha256sum {} + | sort)"
key=$(cat "$C/$I.key")
rm -r "$C" "$S"
mkdir "$C"
refused "a used token" "used already" enroll "$T"

# the key file stays where one is there, and is not taken away by a failure
printf '%s\n' "$key" >"$C/$I.key"
chmod 600 "$C/$I.key"
out=$(enroll --no-start "$T" 2>&1)
equal "a failure keeps the key file" "$C/$I.key" "$(left_behind)"
out=$(enroll --no-start "$(token --name twin)" 2>&1)
case $out in
*"another node has this key"*) pass "a key that another node has" ;;
*) fail "a key that another node has: $out" ;;
esac
equal "still only the key file" "$C/$I.key" "$(left_behind)"
rm "$C/$I.key"

# --- up ----------------------------------------------------------------------------------------

check "enrolled and up" enroll "$(token --name desk)"
check "the interface is there" in_ns a ip link show "$I"
here() { hub node list --json | jq -e '.[] | select(.name == "desk") | .connected == true' >/dev/null; }
check "the list of nodes says that it is connected" wait_for 20 here
check "and that it is seen now" sh -c "'$HUB' node list --dir '$D' | grep -q 'desk.* now '"
check "another hub at its port is told what to do" sh -c \
	"! ip netns exec $(ns_name a) '$HUB' serve --dir '$D' 2>&1 | tee '$TT_WORK/second' | grep -q hub.ready &&
	grep -q 'cannot listen at $AT: another program has this port' '$TT_WORK/second'"
addr=$(in_ns a ip -4 -o addr show "$I" | awk '{print $4}')
case $addr in
10.90.*/32) pass "with its address" ;;
*) fail "with its address: $addr" ;;
esac
check "and the mesh's route" sh -c "ip netns exec $(ns_name a) ip route show 10.90.0.0/16 dev $I | grep -q ."
hub_is_up() { [ "$(in_ns a "$TT_BIN/taltun" status "$I" --json | jq -r '.[0].hub.state')" = up ]; }
check "connected to the hub" wait_for 20 hub_is_up
bg_ns a "$TT_WORK/events" "$TT_BIN/taltun" events "$I" --json
wait_for 20 in_ns a sh -c "ss -xHn state connected src /run/taltun/$I.sock | grep -q ."
kill -TERM "$HUB_PID"
told() { grep '"event":"hub_down"' "$TT_WORK/events" | jq -e '.why != "" and .v == 1' >/dev/null; }
check "taltun events tells that the hub has gone" wait_for 20 told
gone_from_status() { ! hub_is_up; }
check "and so does the status" wait_for 20 gone_from_status
equal "a hub that is gone: nobody knows who is connected" null \
	"$(hub node list --json | jq '.[] | select(.name == "desk") | .connected')"
check "down" in_ns a "$TT_BIN/taltun" down "$I"

finish
