"""`suffice keys`."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from suffice.options import Json, console, error_console, escape, print_json

if TYPE_CHECKING:
    from serving.keys import Key, KeyStore

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)
MAX_AMOUNT = 10**15  # as the API takes
ID_WIDTH = 12
DATE_WIDTH = 10
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _parse_expiry(text: str) -> datetime:
    """Read a span from now, such as 30d, or a time in ISO 8601."""
    try:
        if span := re.fullmatch(r"(\d{1,6})([mhdw])", text):
            return datetime.now(UTC) + timedelta(**{UNITS[span[2]]: int(span[1])})
        time = datetime.fromisoformat(text)
    except OverflowError:
        raise typer.BadParameter("that is after the year 9999; leave it out for never") from None
    except ValueError:
        raise typer.BadParameter("use a span such as 30d or 12h, or a date") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose the key is, such as 'web page'.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="read, write or admin; may be repeated.")
    ] = None,
    collection: Annotated[
        list[str] | None, typer.Option(help="Only for this collection; may be repeated.")
    ] = None,
    expires: Annotated[
        datetime | None,
        typer.Option(parser=_parse_expiry, metavar="WHEN", help="30d, 12h, or a date."),
    ] = None,
    requests_per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_AMOUNT, help="Most questions and searches in a minute."),
    ] = None,
    tokens_per_minute: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_AMOUNT, help="Most tokens of prompts and answers in a minute."),
    ] = None,
    max_concurrent: Annotated[
        int | None, typer.Option(min=1, max=MAX_AMOUNT, help="Most answers at once.")
    ] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option(min=1, max=MAX_AMOUNT, help="Budget of tokens.")
    ] = None,
    usd_per_day: Annotated[
        float | None, typer.Option(min=0.000001, max=1e9, help="Budget of US dollars.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Make a key and print its secret, which is shown only now."""
    from serving.key_view import KeyView  # noqa: PLC0415 - heavy, see cli.py
    from serving.keys import KeyLimits, Scope  # noqa: PLC0415
    from serving.money import to_nano_usd  # noqa: PLC0415

    scopes = scope or [Scope.READ]
    if unknown := [one for one in scopes if one not in list(Scope)]:
        raise typer.BadParameter(f"{unknown[0]!r} is no scope: use {', '.join(Scope)}")
    limits = KeyLimits(
        requests_per_minute,
        tokens_per_minute,
        max_concurrent,
        tokens_per_day,
        None if usd_per_day is None else to_nano_usd(usd_per_day),
    )
    with _store() as store:
        key, secret = store.create(name, map(Scope, scopes), collection, limits, expires)
    if json_output:
        print_json({**KeyView.of(key).model_dump(mode="json"), "secret": secret})
        return
    error_console.print(f"Key {key.id}. Keep the secret; it is not shown again:", markup=False)
    console.print(secret, markup=False)


@app.command("list")
def list_keys(json_output: Json = False) -> None:
    """List the keys, revoked ones too."""
    from serving.key_view import KeyView  # noqa: PLC0415 - heavy, see cli.py

    with _store() as store:
        found = store.list_keys()
    if json_output:
        print_json({"keys": [KeyView.of(key).model_dump(mode="json") for key in found]})
        return
    table = Table(Column("id", no_wrap=True, min_width=ID_WIDTH), box=None)
    for title in ("name", "scopes", "collections", "limits"):
        table.add_column(title, overflow="fold")
    for title in ("last used", "state"):
        table.add_column(title, min_width=DATE_WIDTH)
    for key in found:
        table.add_row(
            key.id,
            escape(key.name),
            ", ".join(sorted(key.scopes)),
            "all" if key.collections is None else ", ".join(sorted(key.collections)),
            _describe_limits(key),
            f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never",
            _describe_state(key),
        )
    console.print(table)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="As `suffice keys list` shows it.")]) -> None:
    """Make a key useless for good; a running service refuses it within two seconds."""
    with _store() as store:
        key = store.revoke(key_id)
    console.print(f"revoked {key.id} ({key.name})", markup=False)


@contextmanager
def _store() -> Iterator["KeyStore"]:
    """Open the keys of the home folder; a service may be running on it."""
    from ingest.home import Home  # noqa: PLC0415 - heavy, see cli.py
    from ingest.settings import IngestSettings  # noqa: PLC0415
    from serving.database import open_database  # noqa: PLC0415
    from serving.keys import KeyStore  # noqa: PLC0415
    from serving.settings import ServingSettings  # noqa: PLC0415
    from suffice.settings import SufficeSettings  # noqa: PLC0415

    home = Home(SufficeSettings().home)
    with open_database(ServingSettings(), IngestSettings(), home) as database:
        yield KeyStore(database)


def _describe_limits(key: "Key") -> str:
    from serving.money import to_usd  # noqa: PLC0415 - heavy, see cli.py

    limits = key.limits
    budget = limits.nano_usd_per_day
    amounts = {
        "requests/min": limits.requests_per_minute,
        "tokens/min": limits.tokens_per_minute,
        "at once": limits.max_concurrent,
        "tokens/day": limits.tokens_per_day,
        "USD/day": None if budget is None else to_usd(budget),
    }
    return ", ".join(f"{amount:,} {unit}" for unit, amount in amounts.items() if amount is not None)


def _describe_state(key: "Key") -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "live"
    verb = "expires" if key.is_live(datetime.now(UTC)) else "expired"
    return f"{verb} {key.expires_at:%Y-%m-%d}"
