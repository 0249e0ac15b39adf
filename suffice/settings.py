"""Settings of the command line, read from SUFFICE_* variables, and the check for misspelt ones."""

import os
from collections.abc import Iterator
from pathlib import Path

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ingest.settings import IngestSettings
from retrieval.settings import RetrievalSettings
from serving.settings import ServingSettings
from suffice.errors import SettingError


class SufficeSettings(BaseSettings):
    """Where the state is, and which service the commands talk to."""

    model_config = SettingsConfigDict(
        env_prefix="SUFFICE_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Path = Field(
        default=Path(".suffice"), description="Folder that holds all local state of a service."
    )
    url: str | None = Field(
        default=None,
        description="Service that the commands talk to; unset: the one that owns SUFFICE_HOME, "
        "or, when none runs, one that lives as long as the command.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="Key that the commands send to the service."
    )


SETTINGS: tuple[type[BaseSettings], ...] = (
    SufficeSettings,
    RetrievalSettings,
    IngestSettings,
    ServingSettings,
)


def variables() -> Iterator[tuple[str, type[BaseSettings], str]]:
    """Yield the name, class and field of every environment variable that is read."""
    for settings in SETTINGS:
        for field in settings.model_fields:
            yield f"{settings.model_config['env_prefix']}{field}".upper(), settings, field


def check_settings() -> None:
    """Refuse misspelt variables, which would leave the default in force, and bad values.

    Raises:
        SettingError: a variable in the environment or in .env is no setting or has a bad value.
    """
    known = {name for name, _, _ in variables()}
    prefixes = tuple(str(settings.model_config["env_prefix"]) for settings in SETTINGS)
    given = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
    if unknown := sorted(n for n in given if n.startswith(prefixes) and n not in known):
        raise SettingError(
            f"{', '.join(unknown)}: no such setting. docs/settings.md lists them all."
        )
    for settings in SETTINGS:
        try:
            settings()
        except ValidationError as error:
            problem = error.errors()[0]
            field = "_".join(str(part) for part in problem["loc"])
            name = f"{settings.model_config['env_prefix']}{field}".upper()
            raise SettingError(f"{name}: {problem['msg']}. docs/settings.md explains it.") from None
