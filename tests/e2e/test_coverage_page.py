"""docs/instruction-coverage.md is the page of what tests/coverage has, and has every instruction."""

import subprocess
import sys

from conftest import TOP

sys.path.insert(0, str(TOP / "tests" / "coverage"))
import page  # noqa: E402


def table_rows():
    """The mnemonics of the instruction table, as the preprocessor sees them."""
    source = ('#define INSN(m, ...) @m@\n#define ROW(m, ...) @m@\n'
              '#include "insn.def"\n#include "insn_fpu.def"\n')
    result = subprocess.run(["cc", "-E", "-P", "-I", TOP / "src" / "cpu", "-"], input=source,
                            capture_output=True, text=True, check=True)
    return {name.lower() for name in result.stdout.split("@")[1::2]}


def test_page_is_what_was_measured():
    assert (TOP / page.PAGE).read_text() == page.render(), "run tools/coverage"


def test_every_row_is_there():
    assert table_rows() - set(page.read_covered("rows")) == set(), "run tools/coverage"
