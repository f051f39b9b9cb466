#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The core's tests once more with AF_XDP, mode generic: support/xdp_core.sh.
#
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/support/xdp_core.sh"

need_root
need_taltund
need_commands jq wg ping
again_all generic
