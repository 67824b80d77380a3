"""The reference pages against the declarations, blueprints, commands and units that they describe."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

import gitopsd.compiler
from gitopsd.cli.main import cli
from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.render.unit import unit_text
from gitopsd.compiler.render.unit_settings import PRIVILEGES, SETTINGS
from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.daemon.configuration.configuration import Configuration, read_configuration
from gitopsd.daemon.configuration.policy import published_policy
from gitopsd.model.blueprint import Blueprint
from gitopsd.model.environments import Environments
from gitopsd.model.event_tests import EventTests
from gitopsd.model.fleet import Fleet
from gitopsd.model.plan import Plan
from gitopsd.model.workflow import Module, Workflow
from tests.docs.declarations import keys, name, reached_from
from tests.docs.markdown import DOCS, fences, sections, table

REFERENCE = DOCS / "reference"
STD = sorted(Path(gitopsd.compiler.__file__).with_name("std").glob("*.yaml"))
PAGES = {
    "files.md": (Environments, Workflow, Module, Blueprint, Fleet, EventTests),
    "configuration.md": (Configuration,),
    "plan.md": (Plan,),
}
DECLARATIONS = sorted(
    {(page, part) for page, kinds in PAGES.items() for kind in kinds for part in reached_from(kind)},
    key=lambda one: (one[0], name(one[1])),
)


def _commands(command: click.Command = cli, path: str = "gitopsd") -> Iterator[tuple[str, click.Command]]:
    """Each command with the words that call it; of groups only the first one has options of its own."""
    if not isinstance(command, click.Group) or path == "gitopsd":
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            known = command.get_command(context, word)
            assert known is not None
            yield from _commands(known, f"{path} {word}")


@pytest.mark.parametrize(("page", "declaration"), DECLARATIONS, ids=lambda part: getattr(part, "__name__", part))
def test_a_table_has_every_key_of_its_declaration_with_type_and_default(
    page: str, declaration: type[msgspec.Struct]
) -> None:
    rows = table(REFERENCE / page, name(declaration).capitalize())
    assert {row["key"]: (row["type"], row["default"]) for row in rows} == {
        key: (known.type, known.default) for key, known in keys(declaration).items()
    }
    assert all(row["meaning"] for row in rows)


def test_blueprints_md_has_a_section_for_every_std_blueprint_and_no_other() -> None:
    documented = {heading for heading in sections(REFERENCE / "blueprints.md") if heading.startswith("std/")}
    assert documented == {f"std/{path.stem}" for path in STD}


@pytest.mark.parametrize("path", STD, ids=lambda path: path.stem)
def test_a_std_blueprint_is_documented_with_its_parameters_and_ports(path: Path) -> None:
    blueprint, _ = decode(read_yaml(path.name, path.read_bytes())[0], Blueprint)
    assert blueprint is not None
    tables = sections(REFERENCE / "blueprints.md")[f"std/{path.stem}"].tables
    assert {row[0].strip("`"): row[1:3] for row in tables[0][1:]} == {
        key: (f"`{parameter.type}`", "required" if parameter.default is msgspec.UNSET else f"`{parameter.default}`")
        for key, parameter in blueprint.params.items()
    }
    assert {row[:4] for row in tables[1][1:]} == {
        (f"`{port}`", side, ", ".join(f"`{one}`" for one in declared.speaks), "yes" if declared.optional else "no")
        for side, ports in (("in", blueprint.in_), ("out", blueprint.out))
        for port, declared in ports.items()
    }


def test_commands_md_has_a_section_for_every_command_and_no_other() -> None:
    documented = {heading for heading in sections(REFERENCE / "commands.md") if heading.startswith("gitopsd")}
    assert documented == {path for path, _ in _commands()}


@pytest.mark.parametrize(("path", "command"), list(_commands()), ids=lambda part: part if isinstance(part, str) else "")
def test_a_command_is_documented_with_its_arguments_and_options(path: str, command: click.Command) -> None:
    page = REFERENCE / "commands.md"
    options = {option for one in command.params if isinstance(one, click.Option) for option in one.opts}
    tables = sections(page)[path].tables
    documented = {option for row in (tables[0][1:] if tables else ()) for option in re.findall(r"--?[a-z-]+", row[0])}
    assert documented - {"-h", "--help"} == options - {"-h", "--help"}
    arguments = [one.make_metavar(click.Context(command)) for one in command.params if isinstance(one, click.Argument)]
    if command is not cli:
        assert f"`{' '.join([path, *arguments])}`" in page.read_text()


def test_workers_md_shows_the_hardening_of_units() -> None:
    shown = next(fence.content for fence in fences(REFERENCE / "workers.md") if fence.language == "ini").splitlines()
    unit = unit_text("orders.collect.0", kind="service", notifies=True, directories=(), settings={}).splitlines()
    assert shown == sorted(shown)
    assert set(shown) <= set(unit)
    hardening = re.compile(
        r"(Capability|Limit|Lock|Memory|NoNew|OOM|Private|Protect|Remove|Restrict[A-Z]|System|Tasks|UMask|User)"
    )
    assert {line for line in unit if hardening.match(line)} == set(shown)


def test_workers_md_lists_the_settings_that_a_blueprint_may_change() -> None:
    text = (REFERENCE / "workers.md").read_text()
    listed = text.split("### Settings that a blueprint may change")[1].split("\n##")[0]
    assert set(re.findall(r"`([A-Z][A-Za-z]+)`", listed)) == set(SETTINGS)


def test_workers_md_lists_the_settings_that_need_the_operators_leave() -> None:
    rows = sections(REFERENCE / "workers.md")["Settings that need the operator's leave"].tables[0][1:]
    assert {row[0].strip("`") for row in rows} == set(PRIVILEGES)


def test_the_example_of_a_configuration_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(next(one.content for one in fences(REFERENCE / "configuration.md") if one.language == "yaml"))
    read = read_configuration(path)
    assert published_policy(read) is not None
