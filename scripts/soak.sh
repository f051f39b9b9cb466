#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Nodes under traffic for hours, while their network is bad and things happen to them: is anything
# lost, does anything grow?
#
# usage: scripts/soak.sh [OPTION]...
#   --minutes N     how long (120)
#   --mesh          a hub, a gateway and two laptops behind NATs instead of two nodes with files
#   --rate K        kB of TCP a second in each flow (256)
#   --every S       seconds from one disturbance to the next (60; less in a short run)
#   --keep          keeps the folder with all samples and logs, and says where it is
#
# Always: 1 % loss, 10 ms and jitter each way (tests/tools/wan); one TCP connection and datagrams in each
# flow, every byte checked. Now and then, in turn: engines killed (-9), addresses and udp_ports changed,
# reloads, blackouts, a storm of rekeys; with --mesh hub restarts and kills, a NAT that forgets. Each
# engine is killed in one half of the run and left alone in the other.
#
# Verdicts: memory grows by less than 1 MiB an hour (tables that fill are not counted in a short run),
# descriptors and threads are constant, traffic is back soon after each disturbance, no TCP
# connection is lost, no packet is dropped without a reason.
# A line every 30 s says how it goes. Ctrl-C ends it with the report so far.
#
# status: 0 all is well, 1 a verdict is bad, 64 usage, 77 it cannot run here, 130 ended by Ctrl-C and
# nothing bad so far
set -u

usage() { sed -n '6,27s/^# \{0,1\}//p' "$0"; }

arguments=("$@")
while [ $# -gt 0 ]; do
	case $1 in
	--mesh | --keep) ;;
	--minutes | --rate | --every)
		case ${2:-} in
		'' | *[!0-9]* | 0*) echo "soak: $1 wants a whole number above 0" >&2 && exit 64 ;;
		esac
		shift
		;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 64 ;;
	esac
	shift
done

# A session of its own: Ctrl-C reaches this script only, and the daemons live to be looked at.
setsid bash "$(dirname "$0")/../tests/soak/soak.sh" "${arguments[@]}" </dev/null &
runner=$!
interrupted=
trap 'interrupted=1; kill -USR1 $runner 2>/dev/null' INT TERM HUP
until wait "$runner"; do
	status=$?
	# wait ends by a signal, too
	kill -0 "$runner" 2>/dev/null || break
done
wait "$runner" 2>/dev/null
status=$?
[ -z "$interrupted" ] || [ "$status" -ne 0 ] || status=130
exit "$status"
