"""What `meson install` puts in place, and a program outside the tree that uses the library."""

import os
import subprocess

import pytest

from conftest import BUILD, TOP

COMMANDS = ["bhyve", "bhyvebiosload", "bhyvectl", "bhyveload", "hyve86", "vmmctl"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that stands for / after the installation."""
    root = tmp_path_factory.mktemp("root")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", root],
                   check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return root


def find(root, name):
    """The one installed file of that name."""
    found = [path for path in root.rglob(name) if not path.is_dir()]
    assert len(found) == 1, (name, found)
    return found[0]


def test_commands(installed):
    for name in COMMANDS:
        command = find(installed, name)
        assert command.parent.name == "bin"
        if name != "hyve86":
            assert os.readlink(command) == "hyve86"


@pytest.mark.parametrize("page", ["hyve86.1", "hyve86-boot.1", "hyve86-lockstep.1", "bhyve.8", "bhyveload.8",
                                  "bhyvebiosload.8", "vmmctl.8", "bhyvectl.8"])
def test_man_pages(installed, page):
    text = find(installed, page).read_text()
    assert text.startswith((".\\\"", ".so ", ".Dd"))


def test_program_outside_the_tree(installed, host):
    """examples/vmcall.c, built with what pkg-config says, runs the VMCALL of the seed."""
    package = find(installed, "libvmmapi.pc")
    env = {**host.env, "PKG_CONFIG_LIBDIR": str(package.parent),
           "PKG_CONFIG_SYSROOT_DIR": str(installed),
           "LD_LIBRARY_PATH": str(find(installed, "libvmmapi.so").parent)}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libvmmapi"], env=env, check=True,
                           capture_output=True, text=True).stdout.split()
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-o", host.folder / "vmcall",
                    TOP / "examples" / "vmcall.c", *flags], check=True)
    result = subprocess.run([host.folder / "vmcall", "vm0"], env=env, check=False,
                            capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "VMCALL at rip 0, 3 bytes long\n"
    assert host.left() == []


def test_library_shows_the_public_calls_alone(installed):
    library = find(installed, "libvmmapi.so")
    names = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], check=True,
                           capture_output=True, text=True).stdout.split("\n")
    names = [line.split()[0].split("@")[0] for line in names if line]
    names = [name for name in names if not name.startswith("LIBVMMAPI")]
    declared = (TOP / "include" / "vmmapi.h").read_text()
    assert "vm_create" in names
    assert [name for name in names if f"{name}(" not in declared] == []
