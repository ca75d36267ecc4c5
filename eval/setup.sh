#!/usr/bin/env bash
# Installs the programs that the lab compares, as far as they are missing. One that can't be had
# is no error: the lab's tables name the gap.
set -euo pipefail

# package:command that shows that it is there
tools=(rsync:rsync iproute2:ip zsync:zsync casync:casync aria2:aria2c curl:curl uftp:uftp npm:npm)
missing=()
for tool in "${tools[@]}"; do
	command -v "${tool#*:}" >/dev/null || missing+=("${tool%%:*}")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "setup.sh: not installed, and left as gaps: ${missing[*]}" >&2
	exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update || true
for package in "${missing[@]}"; do
	apt-get -q install -y --no-install-recommends "$package" >/dev/null ||
		echo "setup.sh: $package can't be installed, and is left as a gap" >&2
done
