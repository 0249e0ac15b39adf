"""Words without meaning of their own, by language: what every text has, and no search is about.

Articles, pronouns, prepositions, conjunctions, auxiliaries and question words; kept short, because
BM25 gives common words next to no weight anyway. A language that is not here has no stop words.
Lower case, accents left out.
"""

import unicodedata
from collections.abc import Mapping

_WORDS = {
    "arabic": """
        اذا التي الذي الذين الى ان انا انت او اين ب بعد بين تكون تلك ثم حتى ذلك على عن عند ف في
        قبل قد كان كانت كل كم كما كيف ل لا لكن لم لماذا لن ما ماذا متى مع من نحن هذا هذه هل هم
        هو هي و يكون
    """,
    "danish": """
        af alle at blev bliver da de dem den denne der deres det dette dig din du efter ej eller
        en er et for fra ham han hans har havde hende hendes her hos hun hvad hvem hvilke
        hvilken hvis hvor hvordan hvorfor hvornar i ikke jeg jer kan man med meget mig min mod
        ned noget nogle nu og ogsa om op os over pa sa sig sin skal som til ud under var vi vil
        ville vor
    """,
    "dutch": """
        aan al als bij dan dat de der deze die dit doch door dus een en er had hebben heeft hem
        het hier hij hoe hun ik in is je kan maar me met mij naar niet nog nu of om onder ons
        onze ook op over te tot u uit van veel voor waar waarom wanneer want waren was wat we
        wel welk welke werd wie wij worden wordt ze zich zij zijn zo zou
    """,
    "english": """
        a about am an and any are as at be been being but by can could did do does doing for
        from had has have having he her hers him his how i if in into is it its me my no nor not
        of on or our ours she should so such than that the their theirs them then there these
        they this those to too was we were what when where which who whom whose why will with
        would you your yours
    """,
    "finnish": """
        ei ja jo joka jos jotka kanssa kuin kuka kun me mika milloin minka missa mita miten
        mutta myos ne niin nyt oli olla on ovat se sen siina sita tai tama tasta te vai voi
    """,
    "french": """
        a au aux avec ce ces cet cette comment d dans de des du elle elles en est et etaient
        etait ete etre eux il ils j je l la le les leur leurs lui m ma mais me meme mes moi mon
        n ne nos notre nous on ont ou par pas pour pourquoi qu quand que quel quelle quelles
        quels qui quoi s sa sans se ses si son sont sous sur t ta te tes toi ton tu un une vos
        votre vous y
    """,
    "german": """
        aber als am an auch auf aus bei bin bis da damit dann das dass dem den der des die dies
        diese diesem diesen dieser dieses doch du durch ein eine einem einen einer eines er es
        fur hat hatte hatten ich ihm ihn ihr ihre ihrem ihren ihrer im in ins ist ja kann man
        mein mit nach nicht noch nun nur ob oder sein seine seinem seinen seiner sich sie sind
        so soll uber um und uns unter vom von vor wann war waren warum was weil welche welchem
        welchen welcher welches wem wen wenn wer werden wie wir wird wo worden wurde wurden zu
        zum zur
    """,
    "greek": """
        αν απο αυτη αυτο αυτος για δε δεν εαν ειναι ειχε εκεινη εκεινο εκεινος ενα ενας ενω εχει
        εχουν η ηταν θα και κατα με μετα μη μια να ο οι ομως οπως οταν οτι ποια ποιες ποιο ποιοι
        ποιος ποτε που πριν προς πως σε στα στη στην στις στο στον στους τα τη την της τι τις το
        τον του τους των
    """,
    "hindi": """
        अपना अपनी अपने इन इस उन उस एक और कब कर कहाँ का कि कितना कितनी कितने किस किसने की के कैसे
        को कौन क्या क्यों गई गए गया जो तक तो था थी थे द्वारा नहीं ने पर भी में यह या ये रहा रही
        रहे लिए वह वे साथ से ही है हैं हो होता होती होते
    """,
    "hungarian": """
        a az azt de egy ehhez el en es ez ezt ha hanem hogy hogyan hol is ki kik le lehet lesz
        ma meg mely melyik mert mi miert mikor mint mit nem o ok s sem vagy van vannak volt
        voltak
    """,
    "italian": """
        a ad agli ai al alla alle allo anche c che chi ci come con cosa cui d da dagli dai dal
        dalla dalle dallo degli dei del dell della delle dello di dove e ed era erano gli ha
        hanno i il in io l la le lei li lo loro lui ma mi mia mio ne negli nei nel nella nelle
        nello noi non o per perche piu quale quali quando quanto quella quelle quelli quello
        questa queste questi questo se si sia sono su sua sugli sui sul sulla sulle suo tra tu
        un una uno vi voi
    """,
    "norwegian": """
        alle at av ble bli blir da de dem den denne der deres det dette din du eller en er et
        etter for fra hadde ham han hans har henne hennes her hos hun hva hvem hvilke hvilken
        hvis hvor hvordan hvorfor i ikke jeg kan man med meg men min mot na nar noe noen og ogsa
        om opp oss over pa sa seg sin skal som til under ut var vi vil ville
    """,
    "portuguese": """
        a ao aos as com como da das de dela dele deles do dos e ela elas ele eles em entre era
        eram essa esse esta este eu foi foram ha isso isto ja lhe mais mas me mesmo meu minha na
        nao nas nem no nos nossa nosso num numa o onde os ou para pela pelas pelo pelos por
        porque quais qual quando que quem sao se sem ser seu seus so sua suas tambem te tem um
        uma umas uns voce
    """,
    "romanian": """
        a ai al ale am are as au ca cand care cat cate cati ce cea cei cel cele cine cu cum da
        dar de deci din dintre doar dupa ea ei el ele era erau este eu fi fie fost i ii il in
        intr intre isi la le lor lui mai ne ni nu o pe pentru prin sa sau se si sub sunt un una
        unde unei unor unui va
    """,
    "russian": """
        а без более бы был была были было быть в вам вас весь во вот все всех вы где да для до
        его ее если есть еще же за здесь и из или им их к как какая какие каких каков какого
        какое какой какую когда кого которая которого которое которые который кто ли мне можно
        мой мы на над нас наш не него нее ней нет ни них но ну о об он она они оно от очень по
        под при про с сам свой себя сколько со так также такой там то того тоже только том ты у
        уже хотя чего чем что чтобы эта эти это этого этой этом этот я
    """,
    "spanish": """
        a al ante asi como con cual cuales cuando cuanto cuantos de del desde donde e el ella
        ellas ellos en entre era eran es esa ese eso esta este esto estos fue fueron ha han hay
        la las le les lo los mas me mi mientras muy no nos nosotros o os otra otro para pero por
        porque que quien quienes se ser si sin sobre son su sus tambien te tiene tu u un una
        unas uno unos y ya yo
    """,
    "swedish": """
        alla att av bara blev blir da de dem den denna deras dess det detta dig din du efter ej
        eller en er ett for fran ha hade han hans har henne hennes hon hos hur i icke inom inte
        jag ju kan man med mellan men mig min mot nagon nagot nagra nar nu och om oss pa sa sig
        sin ska som till under upp ut vad var varfor varje vem vi vid vilka vilken vilket
    """,
    "turkish": """
        ama ancak bir biri bu bunu bunun da daha de diye en gibi hangi hem hep icin ile ise ki
        kim kimi mi mu nasil ne neden nedir nerede o olan olarak oldu olur onlar onu onun sen
        siz su ve veya ya yani ye
    """,
}

STOP_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split()) for language, words in _WORDS.items()
}

# What is shortened before a vowel, as Lucene has it: l'homme, dell'arte.
ELISIONS: Mapping[str, frozenset[str]] = {
    "catalan": frozenset("dlmnst"),
    "french": frozenset("cdjlmnst") | {"jusqu", "lorsqu", "puisqu", "qu", "quoiqu"},
    "irish": frozenset("bdm"),
    "italian": frozenset("cdlmstv")
    | {"agl", "all", "coll", "dagl", "dall", "degl", "dell", "gl", "negl", "nell", "sugl", "sull"}
    | {"un"},
}


def fold(text: str) -> str:
    """Return a text as the words here are written."""
    decomposed = unicodedata.normalize("NFD", text.lower())
    return "".join(char for char in decomposed if not unicodedata.combining(char))
