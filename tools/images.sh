# What the scripts that make disk images share.  Sourced by POSIX sh, after lib.sh:
#	. "$top/tools/images.sh"
# Packages that only provide guests are downloaded and unpacked under build/guests/debs, not installed.
# An image is the file named by $img.

PATH=$PATH:/usr/sbin:/sbin
export MTOOLS_SKIP_CHECK=1
out=$top/build/guests

# unpack PACKAGE...: have each package's files under $out/debs/PACKAGE.  A package of the i386
# architecture is called NAME:i386.
unpack()
{
	mkdir -p "$out/debs"
	for package; do
		[ ! -d "$out/debs/$package" ] || continue
		say "downloading $package"
		rm -rf "$out/debs/new"
		mkdir "$out/debs/new"
		(cd "$out/debs/new" && download "$package" && dpkg -x ./*.deb files) ||
		    die "could not download and unpack the Debian package $package"
		mv "$out/debs/new/files" "$out/debs/$package"
		rm -rf "$out/debs/new"
	done
}

# download PACKAGE: put its .deb into the current folder.  A machine whose package lists are
# missing or too old gets new ones, once.
download()
{
	case $1 in
	*:i386)
		apt_i386 get -qq download "$1" >/dev/null
		return
		;;
	esac
	apt-get -qq download "$1" >/dev/null 2>&1 && return
	apt update && apt-get -qq download "$1" >/dev/null
}

# apt_i386 get|cache ARGUMENT...: apt for the i386 architecture, with lists of its own, so that the
# machine's packages stay as they are.
apt_i386()
{
	apt_state=$out/debs/apt-i386
	apt_command=apt-$1
	shift
	set -- -o APT::Architecture=i386 -o APT::Architectures=i386 -o "Dir::State=$apt_state" \
	    -o "Dir::State::status=$apt_state/status" -o "Dir::Cache=$apt_state" "$@"
	if [ ! -d "$apt_state" ]; then
		mkdir -p "$apt_state/lists/partial" "$apt_state/archives/partial"
		: >"$apt_state/status"
		apt-get -qq -o APT::Architecture=i386 -o APT::Architectures=i386 \
		    -o "Dir::State=$apt_state" -o "Dir::State::status=$apt_state/status" \
		    -o "Dir::Cache=$apt_state" update >/dev/null 2>&1 || :
	fi
	"$apt_command" "$@"
}

# needs PACKAGE [:i386]: the package with a version in its name that PACKAGE stands for.
needs()
{
	if [ "${2-}" = :i386 ]; then
		apt_i386 cache depends "$1"
	else
		apt-cache depends "$1"
	fi | sed -n 's/.*Depends: \([^ ]*[0-9][^ ]*\)$/\1/p' | head -n 1
}

# floppy KB: $img becomes a floppy of zeros.
floppy()
{
	truncate -s "$1K" "$img"
}

# fat_floppy: a 1.44 MB floppy with an empty FAT12, of a known layout: the FATs from sector 1, the
# root directory from 19, files from 33, one sector a cluster.
fat_floppy()
{
	floppy 1440
	mkfs.fat -F 12 -s 1 -R 1 -f 2 -r 224 -n TEST -i 12345678 "$img" >/dev/null
}

# disk MB TYPE: a hard disk with one active partition from sector 2048 to the end.
disk()
{
	truncate -s "$1M" "$img"
	printf 'label: dos\nlabel-id: 0x12345678\nstart=2048, type=%s, bootable\n' "$2" |
	    sfdisk -q "$img"
}

# boot_code FILE: the master boot record's code, which leaves the partition table alone.
boot_code()
{
	dd if="$1" of="$img" bs=440 count=1 conv=notrunc status=none
}

# sectors FILE FIRST: write FILE to the image from sector FIRST on.
sectors()
{
	dd if="$1" of="$img" bs=512 seek="$2" conv=notrunc status=none
}

# put_le32 OFFSET VALUE: write VALUE to the image as four bytes, the lowest first.
put_le32()
{
	# shellcheck disable=SC2059 # the format holds the bytes
	printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $(($2 & 255)) $(($2 >> 8 & 255)) \
	    $(($2 >> 16 & 255)) $(($2 >> 24 & 255)))" |
	    dd of="$img" bs=1 seek="$1" conv=notrunc status=none
}

# initramfs FOLDER FILE: FILE becomes an initial RAM disk with what is in FOLDER.
initramfs()
{
	(cd "$1" && find . | "$out/debs/busybox-static/bin/busybox" cpio -o -H newc) 2>/dev/null |
	    gzip >"$2"
}
