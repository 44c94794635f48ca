#!/bin/busybox sh
# The first process of the Linux that tools/nested starts: KVM, the tests, off. The console is the log.
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
exec </dev/null >/dev/console 2>&1
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs run /run
. /settings
for module in $modules; do
	insmod "/modules/$module.ko"
done
dmesg | grep -i -E 'kvm|svm|vmx'
grep -H . /sys/module/kvm_*/parameters/npt /sys/module/kvm_*/parameters/ept \
    /sys/module/kvm_*/parameters/unrestricted_guest 2>/dev/null
# A line is one line there, without a carriage return.
stty -F /dev/ttyS1 -opost
/run.sh "$engine" "$for_ever"
poweroff -f
