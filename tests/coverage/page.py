"""The coverage page, from the lists that measure.py keeps beside this file."""

import pathlib

HERE = pathlib.Path(__file__).resolve().parent
PAGE = "docs/instruction-coverage.md"
MODES = {"real": "real", "v86": "V86", "pm16": "16-bit", "pm32": "32-bit", "compat": "compat",
         "64": "64-bit"}
# Kinds of tests: the letter in the table, what they are.
SOURCES = {
    "captures-8086": ("8", "captures of an 8086, by `tools/moo --cpu 8086`"),
    "captures-286": ("2", "captures of an 80286, by `tools/moo --cpu 286`"),
    "oracle": ("o", "random code beside the host's processor, `tests/oracle`"),
    "unit": ("u", "unit tests with expected results, `tests/unit`"),
    "modes": ("m", "does the same in all modes, `tests/unit/test_modes.c`"),
    "exceptions": ("x", "raises what it should, `tests/unit/test_cpu_privilege.c`"),
    "guest": ("g", "guests that check themselves, `tests/guest`"),
}

HEAD = """# Which tests run which instruction

`tools/coverage` writes this page. A build of its own notes what the CPU decodes to run it while the
tests run, by row of the instruction table (src/cpu/insn.def, src/cpu/insn_fpu.def and the x87's
forms) and by mode. Rows of the x87 end in `m` for the forms with an operand in memory, in `st` for
the others; what is in lower case after a name tells an SSE instruction from a string instruction.

In the table a letter is a kind of test that runs the instruction in that mode, `.` is none, and an
empty cell says that the instruction is not there in that mode. An instruction that the CPU has in
a mode to refuse it (in virtual-8086 mode, say) counts as there: the refusal wants a test.

"""


def path_of(name):
    return HERE / f"{name}.txt"


def write_covered(name, covered):
    """Keep COVERED, sets of modes by row, as NAME."""
    lines = [f"{row}: {' '.join(mode for mode in MODES if mode in modes)}\n"
             for row, modes in sorted(covered.items())]
    path_of(name).write_text("".join(lines))


def read_covered(name):
    covered = {}
    if path_of(name).exists():
        for line in path_of(name).read_text().splitlines():
            row, modes = line.split(": ")
            covered[row] = set(modes.split())
    return covered


def render():
    """The page's text."""
    rows = read_covered("rows")
    sources = {name: read_covered(name) for name in SOURCES}

    def cell(row, mode):
        if mode not in rows[row]:
            return ""
        return "".join(SOURCES[name][0] for name, covered in sources.items()
                       if mode in covered.get(row, ())) or "."

    cells = {(row, mode): cell(row, mode) for row in sorted(rows) for mode in MODES}
    there = sum(1 for text in cells.values() if text)
    bare = {row: [MODES[mode] for mode in MODES if cells[row, mode] == "."] for row in sorted(rows)}
    bare = {row: modes for row, modes in bare.items() if modes}
    text = HEAD
    text += "".join(f"- `{letter}`: {what}\n" for letter, what in SOURCES.values())
    missing = sum(len(modes) for modes in bare.values())
    text += f"\n{len(rows)} rows, {there} pairs of a row and a mode; {there - missing} have a test.\n"
    text += "\n## Without a test\n\n"
    by_modes = {}
    for row, modes in bare.items():
        by_modes.setdefault(", ".join(modes), []).append(row)
    text += "".join(f"- in {modes}: {', '.join(names)}\n" for modes, names in sorted(by_modes.items()))
    if not bare:
        text += "None.\n"
    text += "\n## Tested for exceptions alone\n\n"
    for row in sorted(rows):
        modes = [MODES[mode] for mode in MODES if cells[row, mode] == "x"]
        if modes:
            text += f"- {row}: {', '.join(modes)}\n"
    text += "\n## All\n\n| | " + " | ".join(MODES.values()) + " |\n" + "|---" * 7 + "|\n"
    for row in sorted(rows):
        text += f"| {row} | " + " | ".join(cells[row, mode] for mode in MODES) + " |\n"
    return text
