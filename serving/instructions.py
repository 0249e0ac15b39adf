"""Words in which text gives orders to a model, in ten languages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an instruction in a document tries."""

    OVERRIDE = "override"
    """To put other instructions in the place of those given."""
    TEMPLATE = "template"
    """To pass for a turn of the system, by tokens of a chat template."""
    ROLE = "role"
    """To pass for a turn of another speaker, by a line such as `system:`."""
    FENCE = "fence"
    """To end the document and begin something else."""
    ADDRESS = "address"
    """To speak to the model."""
    DICTATION = "dictation"
    """To say what the answer must or must not hold."""
    EXFILTRATION = "exfiltration"
    """To send what was said elsewhere, or to have the prompt shown."""
    AUTHORITY = "authority"
    """To speak for somebody who may give orders."""
    HIDDEN = "hidden"
    """To be read by the model and not by people."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern of one kind.

    Attributes:
        triggers: words in lower case, one of which is in every text that the pattern matches. To
            look for them takes a tenth of the time.
    """

    kind: Kind
    triggers: tuple[str, ...]
    pattern: re.Pattern[str]


def _rule(kind: Kind, triggers: str, *patterns: str) -> Rule:
    """Make a rule of alternatives; a space in one stands for any white space."""
    pattern = "|".join(patterns).replace(" ?", r"\s*").replace(" ", r"\s+")
    return Rule(kind, tuple(triggers.split()), re.compile(pattern, re.IGNORECASE))


_PREVIOUS = (
    r"(?:previous|prior|above|earlier|preceding|foregoing|your|system|original|initial|existing"
    r"|(?:all|any)(?: of)?(?: the| other| these| your)?)"
)
_ORDERS = r"(?:instructions?|prompts?|rules|guidelines|directives?|commands?|constraints|messages)"
_MODEL = (
    r"(?:AIs?|LLMs?|(?:large )?language models?|chat ?bots?|chatgpt|assistants?"
    r"|AI (?:assistants?|agents?|models?|systems?))"
)
_MODEL_WORDS = "ai llm model bot chatgpt assistant"
_ANSWER = r"(?:answers?|responses?|repl(?:y|ies)|summar(?:y|ies)|outputs?)"
_ANSWER_WORDS = "answer response repl summar output"
_PRIVATE = (
    r"(?:conversation|chat history|system prompt|api[ _]keys?|passwords?|credentials|secrets?"
    r"|user'?s? (?:questions?|quer(?:y|ies)|messages?|data|names?|inputs?))"
)

RULES: Sequence[Rule] = (
    _rule(
        Kind.OVERRIDE,
        "ignore disregard forget override bypass follow",
        r"\b(?:ignore|disregard|forget|override|bypass|(?:do not|don't|stop) follow(?:ing)?)\b"
        rf"[^.!?]{{0,30}}\b{_PREVIOUS} [^.!?]{{0,25}}?\b{_ORDERS}\b",
        rf"\b(?:ignore|disregard|forget)\b[^.!?]{{0,20}}\b{_ORDERS} (?:above|before|given)\b",
        r"\b(?:ignore|disregard|forget) (?:everything|anything|all|what)\b[^.!?]{0,30}"
        r"\b(?:above|before|previously|told|so far|else)\b",
    ),
    _rule(
        Kind.OVERRIDE,
        "new real actual only sole next",
        r"\byour (?:new|real|actual|only|sole|next) (?:instructions?|task|role|objective|goal"
        r"|mission|purpose)\b",
        r"\bnew (?:system )?(?:instructions?|prompt|directives?|orders?) ?:",
    ),
    _rule(
        Kind.OVERRIDE,
        "from henceforth now longer",
        r"\b(?:from now on|henceforth),? (?:you (?:are|must|will|shall|only|always)|always|only"
        r"|answer|respond|reply)\b",
        r"\byou are (?:now|no longer) (?:DAN\b|operating|jailbroken|unrestricted|in \w+ mode"
        r"|(?:an? |the )?[\w -]{0,25}\b(?:assistant|AI|model|bot|agent|pirate|hacker)\b)",
    ),
    _rule(
        Kind.OVERRIDE,  # German
        "anweisung instruktion vorgaben regeln befehle",
        r"\b(?:ignorier\w*|missacht\w*|vergiss|vergessen sie|überschreib\w*)\b[^.!?]{0,50}"
        r"\b(?:anweisung(?:en)?|instruktion(?:en)?|vorgaben|regeln|befehle)\b",
        r"\b(?:bisherigen?|vorherigen?|obigen?|früheren?) "
        r"(?:anweisungen|instruktionen|vorgaben|regeln)\b[^.!?]{0,30}"
        r"\b(?:ignorier\w*|ungültig|vergess\w*|nichtig|aufgehoben)\b",
    ),
    _rule(
        Kind.OVERRIDE,  # French
        "ignore oublie tiens tenez",
        r"\b(?:ignore[zr]?|oublie[zr]?|ne (?:tiens|tenez) (?:pas|aucun) compte)\b[^.!?]{0,40}"
        r"\b(?:(?:l|t|v|c|n)(?:es|os) instructions|consignes|règles|directives)\b",
    ),
    _rule(
        Kind.OVERRIDE,  # Spanish, Italian, Portuguese
        "instrucciones reglas indicaciones directrices istruzioni regole instruções regras",
        r"\b(?:ignor[ae]|olvid[ae]|descart[ae]|haz caso omiso de)\b[^.!?]{0,40}"
        r"\b(?:instrucciones|reglas|indicaciones|directrices)\b",
        r"\b(?:ignora|dimentica)(?:te)?\b[^.!?]{0,40}\b(?:istruzioni|regole)\b",
        r"\b(?:ignor[ea]|esqueça|desconsidere)\b[^.!?]{0,40}\b(?:instruções|regras)\b",
    ),
    _rule(
        Kind.OVERRIDE,  # Russian
        "игнорируй забудь внимания отмени",
        r"(?:игнорируй|забудь|не обращай внимания|отмени)(?:те)?\b[^.!?]{0,50}"
        r"(?:инструкци|указани|правил|команд)",
    ),
    _rule(
        Kind.OVERRIDE,  # Chinese, Japanese, Korean
        "忽略 无视 無視 忘记 忘掉 忘れ 不要 무시",
        r"(?:忽略|无视|無視|忘记|忘掉|不要理会|不要遵守)[^。]{0,12}"
        r"(?:指令|指示|说明|规则|要求|提示|命令)",
        r"(?:以前|上記|これまで|すべて)の[^。]{0,6}(?:指示|命令|ルール|指令)[^。]{0,6}(?:無視|忘れ)",
        r"(?:이전|위의|모든) (?:지시|명령|규칙)[^.]{0,8}무시",
    ),
    _rule(
        Kind.ADDRESS,
        _MODEL_WORDS,
        rf"\bif you are (?:an? |the )?{_MODEL}\b",
        r"\b(?:dear|attention:?|note to|notice to|message (?:to|for)|instructions? (?:to|for)|hey"
        rf"|hello) (?:an? |the |any |all |every )?{_MODEL}\b",
        rf"\b{_MODEL} (?:reading|processing|summari[sz]ing|parsing|(?:that|who) reads?) ",
        rf"\b{_MODEL},? (?:must|shall|(?:is|are) (?:required|instructed)) ",
    ),
    _rule(
        Kind.ADDRESS,
        _ANSWER_WORDS,
        rf"\bwhen(?:ever)? (?:you|(?:an?|the) {_MODEL}) (?:answers?|summari[sz]es?|responds?"
        r"|repl(?:y|ies))\b",
    ),
    _rule(
        Kind.ADDRESS,  # German, French, Spanish
        "ki ia sprachmodell assist asisten modèle modelo",
        r"\b(?:wenn|falls) (?:du|sie) (?:eine? )?(?:ki|sprachmodell|assistent)\b",
        r"\b(?:an (?:die|alle) ki|hinweis (?:an|für) (?:die|das|den) (?:ki\b|sprachm|assistent))",
        r"\bsi (?:tu es|vous êtes) (?:une? )?(?:ia|modèle de langage|assistant)\b",
        r"\bsi eres (?:una? )?(?:ia|modelo de lenguaje|asistente)\b",
    ),
    _rule(
        Kind.ADDRESS,  # Russian, Chinese
        "если 如果你是 致 注意",
        r"\bесли (?:ты|вы) (?:ии|языковая модель|ассистент|нейросеть)",
        r"(?:如果你是|致|注意)[^。]{0,4}(?:人工智能|AI|语言模型|助手)",
    ),
    _rule(
        Kind.DICTATION,
        "reply respond answer only always instead simply exactly",
        r"\b(?:reply|respond|answer)\b[^.!?]{0,40}\b(?:only|exactly|solely|nothing but|instead"
        r"|always)\b",
        r"\b(?:only|always|instead|simply|exactly) (?:reply|respond|answer|output|say|print)\b",
    ),
    _rule(
        Kind.DICTATION,
        "say output print write include state repeat append",
        r"\b(?:say|output|print|write|include|state|repeat|append) (?:only |exactly )?"
        r"(?:the (?:word|phrase|sentence|text|code|string|following)\b|[\"'\u201c\u2018`])",
    ),
    _rule(
        Kind.DICTATION,
        _ANSWER_WORDS,
        r"\b(?:in|to|of|begin|end|start|finish|conclude|precede) (?:your|every|each|all) "
        rf"{_ANSWER}\b",
        rf"\byour (?:final )?{_ANSWER} (?:must|should|shall|has to|needs? to|will)\b",
    ),
    _rule(
        Kind.DICTATION,
        "mention reveal disclose tell inform cite quote",
        r"\b(?:do not|don't|never) (?:mention|reveal|disclose|tell|inform|cite|quote)\b[^.!?]{0,40}"
        r"\b(?:users?|humans?|reader|this (?:instruction|message|note|text|document)|instructions"
        r"|excerpts?|other (?:documents?|sources?))\b",
    ),
    _rule(
        Kind.DICTATION,  # German
        "antworte schreib sag gib",
        r"\bantworte(?:n sie)?\b[^.!?]{0,30}\b(?:nur|ausschließlich|immer|stattdessen)\b",
        r"\b(?:schreibe?|sage?|gib)\b[^.!?]{0,40}\b(?:das wort|den satz|den text|den code)\b",
    ),
    _rule(
        Kind.DICTATION,  # French
        "répond écri dis dites",
        r"\b(?:réponds|répondez)\b[^.!?]{0,30}\b(?:uniquement|seulement|toujours|simplement)\b",
        r"\b(?:écris|écrivez|dis|dites)\b[^.!?]{0,30}\b(?:le mot|la phrase|le code)\b",
    ),
    _rule(
        Kind.DICTATION,  # Spanish
        "respond contesta escribe di",
        r"\b(?:responde|responda|contesta)\b[^.!?]{0,30}"
        r"\b(?:solo|sólo|únicamente|siempre|simplemente)\b",
        r"\b(?:escribe|di|diga)\b[^.!?]{0,30}\b(?:la palabra|la frase|el código)\b",
    ),
    _rule(
        Kind.DICTATION,  # Russian, Chinese
        "отве напиши скажи 只 仅 必须 始终",
        r"(?:отвечай|ответь|напиши|скажи)(?:те)?\b[^.!?]{0,30}(?:только|всегда|слово|фразу|код)",
        r"(?:只|仅|必须|始终)(?:能|需|要|可)?(?:回答|回复|输出|说)",
    ),
    _rule(
        Kind.EXFILTRATION,
        "http www. @ url link image query",
        r"\b(?:send|post|forward|upload|transmit|exfiltrate|leak|submit|append|encode|add|insert|put"
        rf"|e-?mail)\b[^.!?]{{0,60}}\b{_PRIVATE}\b[^!]{{0,80}}"
        r"(?:https?://|www\.|@\w|\b(?:url|link|image|query (?:string|parameter))\b)",
    ),
    _rule(
        Kind.EXFILTRATION,
        "http www.",
        r"(?:https?:|www\.)[^\s)]{0,200}[?&/=][\[{<(]{1,2}[^\s)]{0,20}(?:data|secret|question|query"
        r"|chat|conversation|history|answer|prompt|user|key|token|password|summary|context)",
    ),
    _rule(
        Kind.EXFILTRATION,
        "prompt instructions above",
        r"\b(?:reveal|print|show|repeat|output|display|tell me|give me|disclose|copy)\b[^.!?]{0,30}"
        r"\b(?:(?:system|hidden|initial) prompt|your (?:\w+ )?instructions|the text above)\b",
    ),
    _rule(
        Kind.AUTHORITY,
        "admin develop operator owner security openai anthropic ceo legal",
        r"\b(?:as|i am|this is|message from|by order of|authori[sz]ed by|on behalf of) "
        r"(?:the |your )?(?:system |site |chief |security )?(?:administrators?|admin|developers?"
        r"|operator|owner|security team|openai|anthropic|ceo|legal department)\b",
    ),
    _rule(
        Kind.AUTHORITY,
        "mode override notice directive",
        r"\b(?:system|security|admin(?:istrator)?) (?:override|notice|directive)\b",
        r"\b(?:developer|debug|god|admin|root|jailbreak|DAN) mode\b",
    ),
    _rule(
        Kind.AUTHORITY,
        "urgent critical mandatory important priority",
        r"\b(?:urgent|critical|mandatory|important|(?:top|highest) priority) ?(?:[:!]|action"
        r"|notice)",
    ),
    _rule(
        Kind.AUTHORITY,  # German, French, Spanish, Russian, Chinese
        "admin systeman systemnach dringend администр 系统 紧急",
        r"\bals administrator\b|\bsystem(?:anweisung|nachricht)|\bdringend[:!]",
        r"\ben tant qu'administrateur\b|\bcomo administrador\b|\bот имени администратора\b",
        r"系统管理员|系统指令|紧急通知",
    ),
    _rule(
        Kind.FENCE,
        "[ < end begin start",
        r"\[/?[b-z][2-9][b-z][2-9](?:-\d{1,3})?\]",
        r"(?:[-=*#<\[]{2,}|\[|<) ?(?:end|start|begin(?:ning)?) (?:of )?(?:the )?(?:excerpts?"
        r"|documents?|context|data|passages?|sources?|prompt|instructions?|user (?:input|query))\b",
        r"</(?:context|documents?|excerpts?|passages?|system|instructions?|retrieved\w*)>",
        r"<(?:system|instructions?|admin|developer)>",
    ),
)
