"""`suffice profiles`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from suffice.options import (
    Collection,
    Json,
    Url,
    console,
    error_console,
    escape,
    print_json,
    read_json,
    service,
)

app = typer.Typer(
    help="List, show, save, serve and delete retrieval profiles.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(help="Name of a profile.")]


@app.command("list")
def list_profiles(json_output: Json = False, url: Url = None) -> None:
    """List the profiles."""
    with service(url) as client:
        listed = client.profiles()
    if json_output:
        print_json(listed)
        return
    profiles = listed["profiles"]
    table = Table("name", "settings: of the default all, of others those that differ")
    for name, profile in profiles.items():
        table.add_row(name, escape(", ".join(_told(profile, profiles["default"]))))
    console.print(table)
    for reason in listed["damaged"].values():
        error_console.print(f"[yellow]{escape(reason)}[/]")


def _told(
    profile: Mapping[str, Any], default: Mapping[str, Any], prefix: str = ""
) -> Iterator[str]:
    for key, value in profile.items():
        if key == "certificate":
            yield from ["certified"] if value is not None else []
        elif isinstance(default[key], Mapping):
            yield from _told(value, default[key], f"{key}.")
        elif value is not None if profile is default else value != default[key]:
            yield f"{prefix}{key}={value}"


@app.command()
def show(name: Name, url: Url = None) -> None:
    """Print a profile as JSON; what is printed can be edited and saved under another name."""
    with service(url) as client:
        print_json(client.profile(name))


@app.command()
def save(
    name: Name,
    file: Annotated[Path, typer.Argument(help="JSON file; what it leaves out is the default.")],
    url: Url = None,
) -> None:
    """Save the profile in a file under a name."""
    with service(url) as client:
        print_json(client.save_profile(name, read_json(file)))


@app.command()
def delete(name: Name, url: Url = None) -> None:
    """Delete a saved profile."""
    with service(url) as client:
        client.delete_profile(name)
    console.print(f"deleted {name}")


@app.command()
def serve(
    name: Name, collection: Collection = "default", json_output: Json = False, url: Url = None
) -> None:
    """Serve a collection with a profile from now on; `default` is that of the settings."""
    with service(url) as client:
        served = client.serve_profile(collection, name)
    if json_output:
        print_json(served)
    else:
        console.print(f"{collection!r} is served with the profile {name!r}.", markup=False)
