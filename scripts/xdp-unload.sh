#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Takes off what scripts/xdp-load.sh attached. Programs of others, and of a running taltund, stay.
#
# usage: scripts/xdp-unload.sh INTERFACE
. "$(dirname "$0")/xdp-common.bash"

usage() { sed -n '4,6s/^# \{0,1\}//p' "$0"; }

case ${1:-} in
-h | --help) usage && exit 0 ;;
'' | -*) usage >&2 && exit 64 ;;
esac
interface=$1

xdp_require "$interface"
read -r mode held < <(xdp_attached "$interface") || held=
if [ -z "${held:-}" ]; then
	echo "$interface: nothing is attached"
	exit 0
fi
[ "$(xdp_name "$held")" = "$xdp_program" ] ||
	die "$interface: xdp held by $(xdp_holder "$held"), which is none of ours; nothing was changed"
xdp_is_link "$held" &&
	die "$interface: xdp held by $(xdp_holder "$held"): stop it, or set its mode to \"socket\""
case $mode in
generic) flag=xdpgeneric ;;
*) flag=xdpdrv ;;
esac
ip link set dev "$interface" "$flag" off || die "$interface: could not detach"
echo "$interface: detached"
