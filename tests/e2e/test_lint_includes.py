"""tools/lint-includes finds what it is there to find."""

import subprocess

import pytest

from conftest import TOP

GOOD = {
    "src/arch/x86.h": "",
    "src/bus/bus.h": '#include "arch/x86.h"\n#include <stdint.h>\n',
    "src/engine/engine.h": '#include "bus/bus.h"\n',
    "src/engine/soft.c": '#include "cpu/cpu.h"\n#include "engine/engine.h"\n',
    "src/cpu/cpu.h": '#include "bus/bus.h"\n',
    "src/vmm/vmm.h": "",
    "src/vmm/vmm.c": '#include "engine/engine.h"\n#include "vmm/vmm.h"\n#include <vmmapi.h>\n',
    "include/vmmapi.h": "#include <stdint.h>\n",
}


def lint(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    result = subprocess.run([TOP / "tools" / "lint-includes", folder], capture_output=True,
                            text=True, check=False)
    assert result.stderr == ""
    assert result.returncode == (1 if result.stdout else 0)
    return result.stdout.splitlines()


def test_good_tree(tmp_path):
    assert lint(tmp_path, GOOD) == []


@pytest.mark.parametrize("name, text, finding", [
    ("src/cpu/op.c", '\n#include "vmx/vmx.h"\n', "src/cpu/op.c:2: cpu may not include vmx/vmx.h"),
    ("src/bios/int13.c", '#include "device/fdc.h"\n', "bios may not include device/fdc.h"),
    ("src/device/rtc.c", '#include "engine/engine.h"\n', "device may not include engine/engine.h"),
    ("src/vmm/run.c", '#include "engine/soft.h"\n', "vmm may not include engine/soft.h"),
    ("src/bus/io.c", "#include <vmmapi.h>\n", "bus may not include vmmapi.h"),
    ("src/machine/board.c", '#include "inspect/trace.h"\n',
     "machine may not include inspect/trace.h"),
    ("src/machine/board.c", "#include <curses.h>\n", "<curses.h> is for console alone"),
    ("src/cpu/op.c", '#include "decode.h"\n', '"decode.h" is not there'),
    ("src/engine/kvm.c", '#include "engine/soft.c"\n', '"engine/soft.c" is no header'),
    ("src/attic/old.c", '#include "bus/bus.h"\n', "the room attic has no rule"),
    ("include/vmmapi.h", '#include "arch/x86.h"\n', "the public header includes nothing of src/"),
    ("src/bus/bus.h", '#include "bus/bus.h"\n', "circle of files: bus/bus.h -> bus/bus.h"),
    ("src/arch/x86.h", '#include "bus/bus.h"\n', "circle of rooms: "),
])
def test_finding(tmp_path, name, text, finding):
    headers = {"src/vmx/vmx.h": "", "src/device/fdc.h": "", "src/engine/soft.h": "",
               "src/inspect/trace.h": "", "src/cpu/decode.h": ""}
    findings = lint(tmp_path, {**GOOD, **headers, name: text})
    assert any(finding in line for line in findings), findings
