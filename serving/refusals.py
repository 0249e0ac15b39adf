"""Refusals: the documents do not contain an answer, said in the language of the question."""

from collections.abc import Sequence

from serving.conversation import MAX_TURN, language_of
from serving.generation import NO_ANSWER, Turn

_BY_LANGUAGE = {
    "german": "Die Dokumente enthalten keine Antwort auf diese Frage.",
    "french": "Les documents ne contiennent pas de réponse à cette question.",
    "spanish": "Los documentos no contienen una respuesta a esta pregunta.",
}


def no_answer(question: str, history: Sequence[Turn] = ()) -> str:
    """Return the refusal of a question, in English where its language is not known.

    The language is that of the first thing the user said: so it stays the same for a conversation,
    whose prompts begin alike.
    """
    asked = [turn.text[:MAX_TURN] for turn in history if turn.role == "user"]
    return _BY_LANGUAGE.get(language_of([*asked, question][0]), NO_ANSWER)
