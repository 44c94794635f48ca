#!/bin/busybox sh
# The tests of tools/nested, run in the Linux there: those in /test/list, one after the other. They say
# on the second serial line when they begin and how they end.
#
# usage: run.sh ENGINE SECONDS
#
#	SECONDS		how long a guest runs that would go on for ever

engine=$1
for_ever=$2
case $engine in
soft) bhyve_engine= ;;
*) bhyve_engine="--engine $engine" ;;
esac
export PATH=/usr/bin:/bin HYVE86_DIR=/run/vms
cd /test || exit

# ends STATUS COMMAND...: COMMAND ends with STATUS.
ends()
{
	want=$1
	shift
	"$@"
	got=$?
	[ $got -eq "$want" ] || {
		echo "status $got instead of $want: $*"
		return 1
	}
}

# boot SECONDS OPTION...: a run of hyve86, which is killed if it does not keep its own time.
boot()
{
	seconds=$1
	shift
	timeout -s KILL $((${seconds%.*} + 20)) hyve86 boot --engine "$engine" --console none --timeout "$seconds" \
	    --debug-exit 0xf4 "$@"
}

# The seed's session, with the built-in pseudo BIOS: a boot sector that halts, from a hard disk.
seed_boot()
{
	dd if=halt.img of=/run/disk.img bs=1M conv=sync 2>/dev/null
	bhyvebiosload -m 128 -M 256 -d /run/disk.img vm0 &&
	    ends 2 timeout -s KILL 60 bhyve $bhyve_engine -m 128 -M 256 -b vm0 &&
	    vmmctl --get-all --vm=vm0 >/run/dump &&
	    grep -E '^(rip|cs)\[0\]' /run/dump &&
	    grep -q '^rip\[0\][[:space:]]*0x0000000000007c12' /run/dump &&
	    hyve86 destroy vm0
}

# The seed's own pseudo BIOS, of one VMCALL.
seed_vmcall()
{
	mkdir -p /run/host
	printf '\017\001\301' >/run/host/pseudobios.bin
	bhyvebiosload -m 128 -M 256 -h /run/host/ vm1 &&
	    ends 4 timeout -s KILL 60 bhyve $bhyve_engine -m 128 -M 256 -b vm1 2>/run/error &&
	    cat /run/error &&
	    [ "$(grep -c . /run/error)" -eq 1 ] &&
	    grep -q VMCALL /run/error &&
	    hyve86 destroy vm1
}

# sector NAME: a boot sector that checks itself.
sector()
{
	case $1 in
	multiboot)
		echo MODULE >/run/module
		ends 33 boot 60 --kernel "$1.img" --initrd /run/module --append a=b
		;;
	*) ends 33 boot 60 --ephemeral --floppy "$1.img" ;;
	esac
}

# death NAME: it dies as it was made to, and its end is explained.
death()
{
	read -r _ status verdict <<-end
	$(grep "^$1 " deaths/list)
	end
	case $status in
	124) seconds=$for_ever ;;
	*) seconds=30 ;;
	esac
	ends "$status" boot "$seconds" -m 4 "deaths/$1.img" 2>/run/error
	died=$?
	hyve86 explain >/run/explained
	cat /run/error /run/explained
	[ $died -eq 0 ] && grep -qF -e "$verdict" /run/error && grep -qF -e "$verdict" /run/explained || {
		echo "no word of: $verdict"
		return 1
	}
}

run_test()
{
	case $1 in
	seed.boot) seed_boot ;;
	seed.vmcall) seed_vmcall ;;
	sector.*) sector "${1#sector.}" ;;
	death.*) death "${1#death.}" ;;
	grub)
		boot 300 --wait-for '*GNU/Linux' --type c --wait-for 'grub>' --type 'ls\n' \
		    --wait-for '(fd0)' grub.img
		;;
	memtest)
		boot 400 -m 16 --wait-for 'Memtest86+ v6.10' --wait-for 'Test #3' --wait-for 'Errors: 0' \
		    memtest.img
		;;
	linux)
		boot 400 --no-reboot --append 'console=ttyS0 noapic nolapic acpi=off panic=-1' \
		    --initrd linux.initrd --wait-for GUEST-READY --kernel linux.img &&
		    grep -q GUEST-READY /run/log
		;;
	esac
}

while read -r name; do
	echo "begin $name" >/dev/ttyS1
	echo "== $name"
	if run_test "$name" >/run/log 2>&1 </dev/null; then
		result=pass
	else
		result=FAIL
	fi
	tail -n 60 /run/log | cut -c 1-150
	sync
	echo "$result $name" >/dev/ttyS1
done </test/list
