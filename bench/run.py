#!/usr/bin/env python3
"""Measure hyve86's CPU, BIOS and start beside QEMU's TCG and Bochs.

usage: bench/run.py [--runs N] [--seconds S] [--write FILE] [NAME...]

Every benchmark is a boot image that does its work a number of rounds and ends the machine.  A
machine's time for the work is the time of its whole run less that of a run of no rounds; so its
firmware's start does not count.  The rounds are chosen so that a run takes about S seconds; the
table shows medians of N runs.  `tools/bench` builds what is needed and calls this.
"""

import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[1]
BUILD = TOP / "build"
IMAGE_SIZE = 16 << 20
ROUNDS_OFFSET = 4
STATUS = 0x10 << 1 | 1

# name: (what, unit, units done in a round)
BENCHMARKS = {
    "alu16": ("real-mode ALU loop", "million instructions/s", 0.1),
    "call32": ("32-bit calls and returns", "million calls/s", 0.01),
    "callpage": ("calls and returns, stack and code in one page", "million calls/s", 0.01),
    "sieve32": ("32-bit sieve of 64 KiB", "sieves/s", 1),
    "copy32": ("32-bit block copies (REP MOVSD)", "MB/s", 16 * 65536 / 1e6),
    "bios": ("BIOS calls (INT 16h/01, INT 1Ah/00)", "thousand calls/s", 0.2),
    "disk": ("disk reads (INT 13h/42)", "MB/s", 32 * 32768 / 1e6),
}

BOCHSRC = """\
plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=0, parallel=0, serial=0, iodebug=0
display_library: rfb, options="timeout=0"
romimage: file=/usr/share/bochs/BIOS-bochs-legacy
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=pentium, count=1, ips=1000000000
megs: 64
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path={image}, mode=flat
boot: disk
clock: sync=none
log: {folder}/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def hyve86(image):
    return [BUILD / "hyve86", "boot", "--engine", "soft", "--console", "none", "--serial", "none",
            "-m", "64", "--debug-exit", "0xf4", "--disk", image]


def qemu(image):
    return ["qemu-system-x86_64", "-accel", "tcg", "-display", "none", "-nic", "none", "-m", "64",
            "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
            "-drive", f"if=ide,format=raw,file={image}"]


def bochs(image):
    """Debian's Bochs is built with its debugger, which has to be told to go on."""
    folder = pathlib.Path(image).parent
    (folder / "bochsrc").write_text(BOCHSRC.format(image=image, folder=folder))
    (folder / "bochs.go").write_text("c\n")
    return ["bochs", "-q", "-f", folder / "bochsrc", "-rc", folder / "bochs.go"]


def qemu_ended(result):
    return result.returncode == STATUS


def bochs_ended(result):
    return b"shutdown requested" in result.stdout + result.stderr


MACHINES = {"hyve86": (hyve86, qemu_ended), "QEMU TCG": (qemu, qemu_ended),
            "Bochs": (bochs, bochs_ended)}


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.folder = pathlib.Path(folder)

    def image(self, name, rounds):
        """The benchmark's image as a disk, told to do so many rounds."""
        path = self.folder / f"{name}.img"
        shutil.copyfile(BUILD / "bench" / f"{name}.img", path)
        with open(path, "r+b") as disk:
            disk.truncate(IMAGE_SIZE)
            disk.seek(ROUNDS_OFFSET)
            disk.write(rounds.to_bytes(4, "little"))
        return path

    def run(self, machine, name, rounds):
        """The seconds that one run takes."""
        command, ended = MACHINES[machine]
        arguments = command(self.image(name, rounds))
        start = time.monotonic()
        result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True,
                                check=False, timeout=600)
        seconds = time.monotonic() - start
        if not ended(result):
            sys.stdout.buffer.write(result.stdout + result.stderr)
            sys.exit(f"{machine} did not run {name} to its end (status {result.returncode})")
        return seconds

    def median(self, machine, name, rounds):
        return statistics.median(self.run(machine, name, rounds)
                                 for _ in range(self.options.runs))

    def rate(self, machine, name):
        """What the machine does of the benchmark in a second, in the benchmark's unit."""
        idle = self.median(machine, name, 0)
        rounds = 1
        while (work := self.run(machine, name, rounds) - idle) < self.options.seconds / 4:
            faster = self.options.seconds / 2 / max(work, 0.001)
            rounds = max(rounds * 2, min(rounds * 50, int(rounds * faster)))
        rounds = max(1, int(rounds * self.options.seconds / work))
        return rounds * BENCHMARKS[name][2] / (self.median(machine, name, rounds) - idle)

    def startup(self):
        """Seconds from process start to end of a boot sector that ends the run at once."""
        image = self.image("alu16", 0)
        commands = {machine: MACHINES[machine][0](image) for machine in ("hyve86", "QEMU TCG")}
        result = self.folder / "hyperfine.json"
        subprocess.run(["hyperfine", "-N", "-i", "--warmup", "3", "--runs", "30", "--export-json",
                        result, *(" ".join(map(str, command)) for command in commands.values())],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        measured = json.loads(result.read_text())["results"]
        return {machine: one["median"] for machine, one in zip(commands, measured)}


def number(value):
    """Three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def table(rates):
    """Rows of Markdown: each rate, and how many times the others' ours is."""
    lines = ["| work | unit | hyve86 | QEMU TCG | Bochs | times QEMU | times Bochs |",
             "| --- | --- | --: | --: | --: | --: | --: |"]
    for name, row in rates.items():
        what, unit, _ = BENCHMARKS[name]
        ours = row["hyve86"]
        lines.append(f"| {what} | {unit} | " + " | ".join(number(row[m]) for m in MACHINES) +
                     f" | {number(ours / row['QEMU TCG'])} | {number(ours / row['Bochs'])} |")
    return "\n".join(lines)


def version(*command):
    output = subprocess.run(command, capture_output=True, text=True, check=False,
                            stdin=subprocess.DEVNULL)
    return re.search(r"\d+\.\d[\w.]*", output.stdout + output.stderr)[0]


def report(rates, startup):
    with open("/proc/cpuinfo", encoding="ascii") as cpuinfo:
        cpu = re.search(r"model name\s*: (.*)", cpuinfo.read())[1]
    return f"""\
# Performance

Written by `tools/bench`: {cpu}, {os.cpu_count()} CPUs, Linux {platform.release().split("-")[0]};
QEMU {version("qemu-system-x86_64", "--version")} (`-accel tcg`, SeaBIOS), \
Bochs {bochs_version()}. \
The same boot image runs on each; its sources are in `bench/`.

{table(rates)}

Start to end of a boot sector that ends the run by its first instructions (median of 30 runs):
hyve86 {startup["hyve86"] * 1000:.1f} ms, QEMU {startup["QEMU TCG"] * 1000:.1f} ms.
"""


def bochs_version():
    package = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "bochs"], text=True,
                             capture_output=True, check=False).stdout
    return package.split("+")[0]


def main():
    parser = argparse.ArgumentParser(prog="tools/bench")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--write", metavar="FILE")
    parser.add_argument("names", metavar="NAME", nargs="*")
    options = parser.parse_args()
    for name in options.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark is called {name}: there are {', '.join(BENCHMARKS)}")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        bench = Bench(options, folder)
        rates = {}
        for name in options.names or BENCHMARKS:
            rates[name] = {}
            for machine in MACHINES:
                rates[name][machine] = bench.rate(machine, name)
                print(f"{name:10} {machine:10} {number(rates[name][machine]):>12} "
                      f"{BENCHMARKS[name][1]}", flush=True)
        text = report(rates, bench.startup())
    print()
    print(text)
    if options.write:
        pathlib.Path(options.write).write_text(text)


if __name__ == "__main__":
    main()
