"""What handlers are given."""

from typing import Annotated

from fastapi import Depends, Request

from retrieval.profiles import RetrievalProfile
from serving.errors import InvalidRequestError
from serving.service import Service


def get_service(request: Request) -> Service:
    """Return the running service."""
    service: Service = request.app.state.service
    return service


RunningService = Annotated[Service, Depends(get_service)]


def find_profile(wanted: RetrievalProfile | str, service: Service) -> RetrievalProfile:
    """Return the profile that a request names or brings.

    Raises:
        ProfileNotFoundError: no saved one has that name.
    """
    return service.profiles.get(wanted) if isinstance(wanted, str) else wanted


def check_question(text: str, service: Service, param: str) -> str:
    """Return a question or query that is neither empty nor too long.

    Raises:
        InvalidRequestError: it is.
    """
    limit = service.settings.serving.max_question_characters
    if not text.strip():
        raise InvalidRequestError(f"{param} is empty. Ask something.", param)
    if len(text) > limit:
        raise InvalidRequestError(
            f"{param} has {len(text):,} characters, the limit is {limit:,}. Shorten it, or raise "
            "SERVING_MAX_QUESTION_CHARACTERS.",
            param,
        )
    return text
