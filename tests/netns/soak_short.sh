#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# scripts/soak.sh for three minutes: each kind of disturbance once or twice. Runs beside the other
# tests (scripts/test.sh), and is gentle.
#
exec bash "$(dirname "$0")/../../scripts/soak.sh" --minutes "${TT_SOAK_MINUTES:-3}" --rate 64
