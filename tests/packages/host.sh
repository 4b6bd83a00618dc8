# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# For guest tests of the packages, sourced: what the host is, and the machine to
# install them on is not.

# The whole index of manual pages would be made anew, for minutes.
rm -f /var/lib/man-db/auto-update
# A container, whose packages start no services.
rm -f /usr/sbin/policy-rc.d

# One with a newer kernel, for which DKMS would build, too. Only the present one
# is there, until the next umount --lazy /lib/modules.
hide_other_kernels() {
	mkdir -p /run/modules/"$(uname -r)"
	mount --bind /lib/modules/"$(uname -r)" /run/modules/"$(uname -r)"
	mount --rbind /run/modules /lib/modules
}

# offer_built_modules FOLDER: of the packages, to DKMS' own script (build-all)
offer_built_modules() {
	mkdir -p /usr/share/llamux-dkms
	cp "$1"/*.dkms.tar.gz /usr/share/llamux-dkms/
}
