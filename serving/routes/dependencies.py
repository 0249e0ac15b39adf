"""What handlers are given."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from ingest.documents import Document
from ingest.errors import DocumentNotFoundError
from retrieval.profiles import DEFAULT
from serving.access import Caller, identify
from serving.account import most_nano_usd
from serving.errors import InvalidRequestError, ServingError
from serving.generation import thinking_room
from serving.limits import Permit
from serving.profiles import AnsweringProfile, to_thinking
from serving.question import Question
from serving.service import Service

# For the estimate by which a question is let in: rather too many tokens than too few.
CHARACTERS_PER_TOKEN = 3
INSTRUCTION_TOKENS = 200
LABEL_TOKENS = 32

# Lets the page /docs ask for a key; `Access` checks it.
BEARER = HTTPBearer(scheme_name="key", description="See docs/keys.md.", auto_error=False)


async def get_service(request: Request) -> Service:  # else it would be called in a thread
    """Return the running service."""
    service: Service = request.app.state.service
    return service


RunningService = Annotated[Service, Depends(get_service)]


async def get_caller(request: Request) -> Caller:
    """Return who makes the call."""
    caller: Caller = request.state.caller
    return caller


CurrentCaller = Annotated[Caller, Depends(get_caller)]


async def is_by_admin(request: Request, service: RunningService) -> bool:
    """Tell whether an admin makes a call that is open to everybody."""
    is_loopback = service.settings.serving.is_loopback
    try:
        caller = await identify(request.headers.raw, service.keys, is_loopback=is_loopback)
    except ServingError:
        return False
    return caller.is_admin


ByAdmin = Annotated[bool, Depends(is_by_admin)]


def find_document(document_id: str, service: RunningService, caller: CurrentCaller) -> Document:
    """Return a document that the caller may know of.

    Raises:
        DocumentNotFoundError: there is none, or it is in a collection of others; nobody can tell.
    """
    document = service.library.get(document_id)
    if not caller.allows(document.collection):
        raise DocumentNotFoundError.of(document_id)
    return document


KnownDocument = Annotated[Document, Depends(find_document)]


Admit = Callable[[int, int | None], Awaitable[Permit]]


async def get_admit(service: RunningService, caller: CurrentCaller) -> AsyncIterator[Admit]:
    """Give what lets a question in: most tokens and most cost in, a permit out.

    What the permit holds is given back when the answer was sent, or when its caller has gone.
    """
    async with AsyncExitStack() as until_sent:

        async def admit(num_tokens: int, nano_usd: int | None) -> Permit:
            return await until_sent.enter_async_context(
                service.limits.admit(caller, num_tokens, nano_usd)
            )

        yield admit


Admission = Annotated[Admit, Depends(get_admit)]


async def admit_search(service: RunningService, caller: CurrentCaller) -> AsyncIterator[None]:
    """Let a search in, or refuse it."""
    async with service.limits.admit_search(caller):
        yield


@dataclass(frozen=True, slots=True)
class FoundProfile:
    """The profile of a request.

    Attributes:
        name: under which it is saved; None: the request brought it along.
        profile: what it says, with what the request asks for otherwise.
        digest: of what it says as it is saved, see `settings_digest`; None: it is not.
        warnings: about it.
    """

    name: str | None
    profile: AnsweringProfile
    digest: str | None = None
    warnings: tuple[str, ...] = ()


def find_profile(
    wanted: AnsweringProfile | str | None, collection: str, service: Service
) -> FoundProfile:
    """Return the profile that a request names or brings, or else that of its collection.

    Raises:
        ProfileNotFoundError: no saved one has that name.
    """
    if isinstance(wanted, AnsweringProfile):
        return FoundProfile(None, wanted)
    if wanted is not None:
        return _saved(wanted, service.profiles.get(wanted))
    name = service.profiles.served(collection)
    profile = service.profiles.get(name)
    if service.settings.serving.fall_back_when_stale and profile.certificate is not None:
        alarm = service.alarms.find(collection, profile.digest)
        if alarm is not None:
            warning = (
                f"The profile {DEFAULT!r} stands in for {name!r}, whose certificate is stale: "
                f"{alarm}."
            )
            return _saved(DEFAULT, service.profiles.get(DEFAULT), warning)
    return _saved(name, profile)


def show_profile(profile: AnsweringProfile, caller: Caller) -> AnsweringProfile:
    """Return a profile without what was shown of it in a collection of others."""
    certificate = profile.certificate
    if certificate is None or caller.allows(certificate.collection):
        return profile
    return profile.model_copy(update={"certificate": None})


def _saved(name: str, profile: AnsweringProfile, *warnings: str) -> FoundProfile:
    return FoundProfile(name, profile, profile.settings_digest, warnings)


def estimate(question: Question, service: Service) -> tuple[int, int | None]:
    """Return about how many tokens an answer may take at most, and nano-dollars if known.

    What it takes beyond, such as another call to verify it, is set aside when it comes to that.
    """
    policy = question.profile.answering
    texts = [question.text, *(turn.text for turn in question.history)]
    told = sum(map(len, texts)) // CHARACTERS_PER_TOKEN + INSTRUCTION_TOKENS
    chunk_tokens = service.settings.ingest.chunk_tokens + LABEL_TOKENS
    context = question.packing.max_tokens or question.top_k * chunk_tokens
    prompt = min(told + context, question.budget.max_prompt_tokens or told + context)
    one = question.sampling.max_tokens + thinking_room(to_thinking(policy.thinking))
    completion = one * max(policy.samples, question.num_choices)
    generator = service.models.get(policy.strong_model or policy.model)
    return prompt + completion, most_nano_usd(generator, prompt, completion)


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
