# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# scripts/demo.sh mesh: what an operator and two users type, in namespaces; sourced by it, which sets
# root, bold and plain.
# shellcheck disable=SC2154

. "$root/tests/netns/lib.sh"
. "$root/tests/netns/support/nats.sh"

if ! { command -v nft && command -v jq && command -v ping; } >/dev/null; then
	echo "demo: needs nft, jq and ping" >&2
	exit 77
fi
[ -x "$root/build/tests/tools/wan" ] || nice make -s -C "$root" build/tests/tools/wan || exit 1
# 15 ms to the hub, so that what goes through it is seen
NATS_DELAY_MS=15
dir=$TT_WORK/hub

stop_demo() {
	echo "demo: $*" >&2
	exit 1
}

# at NS COMMAND...: shown, and run there
at() {
	local ns=$1
	shift
	printf '\n%s%s$%s %s\n' "$bold" "${names[$ns]:-$ns}" "$plain" "$*"
	in_ns "$ns" "$@"
}
declare -A names=([h]=hub [gateway]=gateway [a]=laptop-a [b]=laptop-b)

step "an internet, a public gateway, two laptops behind NATs"
cat <<END

            hub 203.0.113.2 (15 ms away)      gateway, public
                             \              /
                              the internet
                             /              \\
               a NAT that keeps ports      a symmetric NAT
                           |                 |
                       laptop-a           laptop-b
END
places() {
	nats_start && node gateway && box nata port && node a nata && box natb sym && node b natb
}
places || stop_demo "the namespaces could not be made"

at h taltun-hub init --name "$HUB" --dir "$dir" || stop_demo "no hub"
printf '\n%shub$%s taltun-hub serve &\n' "$bold" "$plain"
bg_ns h "$TT_WORK/hub.log" taltun-hub serve --dir "$dir"
wait_for 10 in_ns h taltun-hub status --dir "$dir" || stop_demo "the hub does not answer"
at h taltun-hub allow laptops laptops --dir "$dir"

# join NS NAME [TOKEN OPTION]...
join() {
	local ns=$1 name=$2 token
	shift 2
	token=$(in_ns h taltun-hub token create --name "$name" "$@" --dir "$dir") || return 1
	printf '\n%shub$%s taltun-hub token create --name %s %s\n%s...\n' "$bold" "$plain" "$name" "$*" "${token:0:48}"
	printf '\n%s%s$%s taltun enroll %s...\n' "$bold" "$name" "$plain" "${token:0:48}"
	in_ns "$ns" taltun enroll "$token"
}
join gateway office --role gateway || stop_demo "the gateway did not enrol"
join a laptop-a --group laptops || stop_demo "laptop-a did not enrol"
printf '\n%slaptop-a$%s taltun events &\n' "$bold" "$plain"
bg_ns a "$TT_WORK/events.a" taltun events
at a ping -n -c 5 -i 0.3 -W 2 10.90.0.1 || stop_demo "laptop-a does not reach the gateway"
join b laptop-b --group laptops || stop_demo "laptop-b did not enrol"
wait_for 5 can_ping b 10.90.0.2
at b ping -n -c 5 -i 0.3 -W 2 10.90.0.2 || stop_demo "laptop-b does not reach laptop-a"
sleep 4 # until both know that they cannot get through

step "what laptop-a heard meanwhile (taltun events)"
cat "$TT_WORK/events.a"
echo
step "paths: direct to the gateway, by the relay from NAT to symmetric NAT"
at a taltun status
at b taltun status
at h taltun-hub status --dir "$dir"
echo
step "cleaning up"
