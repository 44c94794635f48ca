"""Run the tests in a counting build, keep what each kind covers, write the page; see tools/coverage.

usage: measure.py BUILD [--captures-286 DIR] [--captures-8086 DIR]
"""

import argparse
import os
import pathlib
import subprocess
import tempfile

import page

TOP = pathlib.Path(__file__).resolve().parents[2]
# They run random code and look at what must never happen, not at what an instruction does.
NOT_ABOUT_INSTRUCTIONS = {"test_random_code", "test_random_sectors"}
# Tables of their own: what is the same in all modes, what is raised in which mode.
MODES, EXCEPTIONS = "test_modes", "test_cpu_privilege"
ORACLE_CASES = 60000


def run(folder, *command):
    """Run COMMAND, noting into FOLDER. How it ends is the tests' business, not ours."""
    environment = {**os.environ, "INSN_COVERAGE": str(folder), "HYVE86_DIR": str(folder / "vms")}
    subprocess.run([str(part) for part in command], env=environment, check=False, timeout=600,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   stdin=subprocess.DEVNULL)


def unit(build, folder):
    for program in sorted((build / "tests/unit").glob("test_*")):
        if program.is_file() and program.name not in NOT_ABOUT_INSTRUCTIONS | {MODES, EXCEPTIONS}:
            run(folder, program)


def one_unit(program):
    return lambda build, folder: run(folder, build / "tests/unit" / program)


def oracle(build, folder):
    run(folder, build / "tests/oracle/oracle", "-n", ORACLE_CASES, "-s", 1)


def guest(build, folder):
    for image in sorted((build / "tests/guest").glob("*.img")):
        run(folder, build / "hyve86", "boot", "--ephemeral", "--engine", "soft", "--console", "none",
            "--debug-exit", "0xf4", "--timeout", 5, image)


def captures(model, files):
    def measure(build, folder):
        run(folder, build / "tests/moo/moo", "--cpu", model,
            *sorted(pathlib.Path(files).glob("*.MOO.gz")))
    return measure


def rows(build, folder):
    run(folder, build / "tests/coverage/insn-rows")


def measure(name, function, build):
    """Run FUNCTION and keep what it covers as NAME."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "notes").mkdir()
        function(build, folder / "notes")
        covered = {}
        for file in (folder / "notes").iterdir():
            if file.is_file():
                for line in file.read_text().splitlines():
                    row, mode = line.split("\t")
                    covered.setdefault(row, set()).add(mode)
    page.write_covered(name, covered)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--captures-286")
    parser.add_argument("--captures-8086")
    args = parser.parse_args()
    todo = {"rows": rows, "unit": unit, "oracle": oracle, "guest": guest,
            "modes": one_unit(MODES), "exceptions": one_unit(EXCEPTIONS)}
    if args.captures_286:
        todo["captures-286"] = captures("286", args.captures_286)
    if args.captures_8086:
        todo["captures-8086"] = captures("8086", args.captures_8086)
    for name, function in todo.items():
        measure(name, function, TOP / args.build)
    (TOP / page.PAGE).write_text(page.render())


if __name__ == "__main__":
    main()
