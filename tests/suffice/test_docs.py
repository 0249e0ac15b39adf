"""The documentation names everything there is: a new setting, call or command must be described."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from dotenv import dotenv_values
from fastapi.routing import APIRoute
from pydantic_settings import BaseSettings
from typer.core import TyperGroup
from typer.main import get_command

from serving.errors import STATUS
from serving.routes import chat, documents, health, keys, profiles, search, shadow, traces, usage
from suffice.cli import app
from suffice.settings import variables

ROOT = Path(__file__).parents[2]
SETTINGS = [pytest.param(*setting, id=setting[0]) for setting in variables()]
CALLS = sorted(
    f"{method} {route.path_format}"
    for module in (chat, documents, health, keys, profiles, search, shadow, traces, usage)
    for route in module.router.routes
    if isinstance(route, APIRoute)
    for method in route.methods or ()
)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield each command with its options."""
    groups = [("suffice", get_command(app))]
    while groups:
        name, command = groups.pop()
        if isinstance(command, TyperGroup):
            groups += [(f"{name} {inner}", c) for inner, c in command.commands.items()]
        else:
            options = [o for p in command.params for o in p.opts if o.startswith("-")]
            yield name, options


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def section(text: str, heading: str) -> str:
    """Return what stands below the heading that begins so, up to the next one of its level."""
    pattern = rf"^(#+) `{re.escape(heading)}[` ][^\n]*\n(.*?)(?=^\1 |^#{{1,2}} |\Z)"
    found = re.search(pattern, text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading for {heading}"
    return found.group(2)


@pytest.mark.parametrize(("name", "settings", "field"), SETTINGS)
def test_setting_stands_in_the_list_with_its_default(
    name: str, settings: type[BaseSettings], field: str
) -> None:
    default = settings.model_fields[field].default
    shown = "unset" if default is None else f"`{default}`"
    assert f"\n| `{name}` | {shown} | " in read("docs/settings.md")


@pytest.mark.parametrize(("name", "settings", "field"), SETTINGS)
def test_setting_stands_in_the_example_commented_out_with_its_default(
    name: str, settings: type[BaseSettings], field: str
) -> None:
    default = settings.model_fields[field].default
    assert f"\n#{name}={'' if default is None else default}\n" in read(".env.example")


def test_example_sets_nothing_and_names_nothing_unknown() -> None:
    assert not dotenv_values(ROOT / ".env.example")
    named = set(re.findall(r"^#([A-Z_]+)=", read(".env.example"), re.MULTILINE))
    for_compose = set(re.findall(r"\$\{([A-Z_]+)", read("docker-compose.yml")))
    assert named <= {name for name, _, _ in variables()} | for_compose


@pytest.mark.parametrize("call", CALLS)
def test_call_has_a_section(call: str) -> None:
    assert section(read("docs/api.md"), call).strip()


@pytest.mark.parametrize("error", STATUS, ids=lambda error: error.__name__)
def test_error_stands_in_the_table(error: type[Exception]) -> None:
    status, kind, code = STATUS[error]
    assert f"| {status} | `{kind}` | `{code}` | " in read("docs/api.md")


@pytest.mark.parametrize(
    ("command", "options"), [pytest.param(*c, id=c[0]) for c in sorted(commands())]
)
def test_command_has_a_section_with_its_options(command: str, options: list[str]) -> None:
    text = section(read("docs/cli.md"), command)
    assert [option for option in options if f"`{option}" not in text] == []


def test_options_before_a_command_are_described() -> None:
    options = [option for one in get_command(app).params for option in one.opts]
    assert options == ["--version"]
    assert "`suffice --version`" in read("docs/cli.md")


@pytest.mark.parametrize(
    "page", [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))], ids=lambda p: p.name
)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
