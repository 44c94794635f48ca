# What the scripts in tools/ share.  Sourced by POSIX sh, with $0 inside tools/:
#	. "$(dirname "$0")/lib.sh"
# It sets $top, the root of the source tree, and makes it the current folder.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)
cd "$top"
prog=tools/$(basename "$0")

# Debian packages by what needs them.
build_packages='gcc libc6-dev meson ninja-build pkgconf libzydis-dev libncurses-dev libpng-dev
	libjansson-dev libcmocka-dev'
clang_packages='clang'
image_packages='mtools dosfstools fdisk'
test_packages='clang-format clang-tidy cppcheck git python3 python3-pyte
	python3-pytest socat util-linux'
debug_packages='gdb'

say()
{
	printf '%s: %s\n' "$prog" "$*"
}

die()
{
	printf '%s: %s\n' "$prog" "$*" >&2
	exit 1
}

# missing_packages PACKAGE...: print those that are not installed.
missing_packages()
{
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
		    grep -qx installed || printf ' %s' "$package"
	done
}

# as_root COMMAND...: run it with root's rights.
as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# apt COMMAND...: apt-get that asks nothing and waits for another apt to end.
apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -qq \
	    -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# need_packages PACKAGE...: install what is missing of them; nothing is done if all are there.
need_packages()
{
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null ||
		die "these Debian packages are needed, and there is no apt-get to install them:$missing"
	say "installing Debian packages:$missing"
	# shellcheck disable=SC2086 # a list of names
	{ apt update && apt install --no-install-recommends $missing >/dev/null; } ||
		die "could not install:$missing"
}
