"""Everything below /v1/profiles."""

from typing import Any

from fastapi import APIRouter

from retrieval.errors import ProfileError
from serving.profiles import AnsweringProfile
from serving.routes.dependencies import CurrentCaller, RunningService, show_profile

router = APIRouter()


@router.get("/v1/profiles")
def list_profiles(service: RunningService, caller: CurrentCaller) -> dict[str, Any]:
    """List the profiles by name, and of those that cannot be read the reason."""
    profiles: dict[str, AnsweringProfile] = {}
    damaged: dict[str, str] = {}
    for name in service.profiles.names():
        try:
            profiles[name] = show_profile(service.profiles.get(name), caller)
        except ProfileError as error:
            damaged[name] = str(error)
    return {"profiles": profiles, "damaged": damaged}


@router.get("/v1/profiles/{name}")
def show(name: str, service: RunningService, caller: CurrentCaller) -> AnsweringProfile:
    """Show a profile."""
    return show_profile(service.profiles.get(name), caller)


@router.put("/v1/profiles/{name}")
def save(name: str, profile: AnsweringProfile, service: RunningService) -> AnsweringProfile:
    """Save a profile, in place of the one of that name."""
    service.profiles.save(name, profile)
    return profile


@router.delete("/v1/profiles/{name}")
def delete(name: str, service: RunningService) -> dict[str, Any]:
    """Delete a saved profile."""
    service.profiles.delete(name)
    return {"name": name, "deleted": True}
