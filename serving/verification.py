"""Verification: what becomes of an answer whose statements were judged."""

from collections.abc import Sequence
from dataclasses import replace

from serving.drafts import Draft
from serving.grounding import SentenceSupport, Support, Verdict

MODEL_DENIES = "The verifier does not find it in the cited text."


def overrule(sentence: SentenceSupport, verdicts: Sequence[Verdict]) -> SentenceSupport:
    """Return the sentence with the verdict of a model, if it gave one.

    Args:
        sentence: as its words were judged.
        verdicts: one for each item it cites; one that supports it suffices.
    """
    if Verdict.SUPPORTED in verdicts:
        return replace(sentence, support=Support.SUPPORTED, reason="")
    if Verdict.UNSUPPORTED in verdicts:
        return replace(sentence, support=Support.UNSUPPORTED, reason=MODEL_DENIES)
    return sentence


def drop_unsupported(draft: Draft, sentences: Sequence[SentenceSupport], refusal: str) -> Draft:
    """Take the unsupported sentences out of an answer, each with the markers behind it.

    Args:
        draft: the answer.
        sentences: of it.
        refusal: what is said when nothing is left.
    """
    pieces = []
    position = 0
    for sentence, after in zip(sentences, [*sentences[1:], None], strict=True):
        if sentence.support is Support.UNSUPPORTED:
            pieces.append(draft.text[position : sentence.start])
            position = len(draft.text) if after is None else after.start
    text = "".join([*pieces, draft.text[position:]]).strip()
    return replace(draft, text=text or refusal)


def support_share(sentences: Sequence[SentenceSupport]) -> float:
    """Return which share of the claims is supported; 0 without claims."""
    claims = [one.support for one in sentences if one.support is not Support.NO_CLAIM]
    return claims.count(Support.SUPPORTED) / len(claims) if claims else 0.0
