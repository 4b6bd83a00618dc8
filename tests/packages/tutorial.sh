#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Catches: a tutorial whose commands do not do what it says.
# $1: folder of the packages (build-all). Runs in a guest with systemd.

# shellcheck source=tests/packages/host.sh
. "$LLAMUX_REPO/tests/packages/host.sh"

hide_other_kernels
offer_built_modules "$1"
exec "$LLAMUX_REPO/tests/packages/tutorial.py" "$1"
