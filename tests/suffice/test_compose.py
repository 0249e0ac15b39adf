"""docker-compose.yml is made of known settings and pinned images, and everything is watched."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from suffice.settings import variables

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
# What the command line alone reads, and what the image sets.
NOT_FOR_COMPOSE = {
    "SUFFICE_HOME",
    "SUFFICE_URL",
    "SUFFICE_API_KEY",
    "SERVING_HOST",
    "SERVING_PORT",
}


def test_service_is_given_every_setting_and_nothing_else() -> None:
    known = {name for name, _, _ in variables()}
    assert set(SERVICES["suffice"]["environment"]) == known - NOT_FOR_COMPOSE


def test_image_sets_only_settings() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    ours = set(re.findall(r"\b((?:SUFFICE|SERVING|INGEST|RETRIEVAL)_[A-Z_]+)=", dockerfile))
    assert ours == {"SUFFICE_HOME", "SERVING_HOST", "SERVING_PORT"}


@pytest.mark.parametrize("name", ["SERVING_API_KEY", "RETRIEVAL_QDRANT_API_KEY"])
def test_keys_are_required(name: str) -> None:
    assert SERVICES["suffice"]["environment"][name].startswith(f"${{{name}:?")


@pytest.mark.parametrize("service", SERVICES)
def test_image_is_pinned(service: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\d+(\.\d+)+", SERVICES[service]["image"])


@pytest.mark.parametrize("service", SERVICES)
def test_service_has_a_health_check(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_open_on_loopback_only(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


def test_qdrant_has_the_bm25_index() -> None:
    major, minor, _ = SERVICES["qdrant"]["image"].rpartition(":v")[2].split(".")
    assert (int(major), int(minor)) >= (1, 20)


def test_volumes_are_declared() -> None:
    used = {
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }
    assert used == set(COMPOSE["volumes"])


def test_files_that_are_mounted_are_there() -> None:
    mounted = [
        volume.partition(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    ]
    assert mounted
    assert [path for path in mounted if not (ROOT / path).is_file()] == []
