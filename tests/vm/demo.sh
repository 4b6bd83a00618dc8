#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The demo, host side: boots a Debian kernel in QEMU and runs demo-guest in it.
#   tests/vm/demo.sh [6.1|6.12]
cd "$(dirname "$0")/../.." || exit 1
kernel=${1:-6.12}
echo "Booting Linux $kernel in QEMU (software emulation, no KVM needed): about 10 seconds."
tests/vm/run-vm --kernel "$kernel" --mem 1G --timeout 400 -- tests/vm/demo-guest
status=$?
[ $status = 0 ] || { echo "demo: it did not end well (status $status); the lines above say why" >&2; exit $status; }
cat <<'END'

On your own machine (Debian 12, as root):
  make deb                      packages, below build/deb; or make all && make install
  modprobe llamux               with the model of this repository
  llamux-agent support          what this machine can and cannot do
  llamux-agent ask "why is my system slow?"
  llamux-agent run              watch and advise; add --apply to let it act
END
