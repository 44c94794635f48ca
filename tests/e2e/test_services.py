"""hyve86 services, and the page in docs/ that it wrote."""

from conftest import TOP


def test_the_page_in_docs_is_what_the_tables_say(host):
    result = host.run("hyve86", "services")
    assert (result.returncode, result.stderr) == (0, "")
    assert (TOP / "docs" / "bios-services.md").read_text(encoding="ascii").endswith("\n\n" + result.stdout)


def test_services_takes_no_arguments(host):
    result = host.run("hyve86", "services", "13h")
    assert result.returncode == 4
    assert result.stderr.count("\n") == 1
