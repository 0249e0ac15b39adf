from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import UnreadableFileError
from ingest.parsers.decoding import decode
from ingest.parsers.media_types import PLAIN, detect_media_type

SENTENCE = "Größe und Übermaß: zwei Cafés."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "windows-1252"])
def test_common_encodings_are_recognised(encoding: str) -> None:
    assert decode(SENTENCE.encode(encoding)) == SENTENCE


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("iso-2022-jp", "日本語のテキスト"), ("koi8-r", "Привет"), ("shift_jis", "日本語です")],
)
def test_declared_encoding_is_believed(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding), encoding) == text


@pytest.mark.parametrize("label", ["shift-jis-2000", "hex", "iso-8859-1"])
def test_utf8_outweighs_a_wrong_label(label: str) -> None:
    assert decode(SENTENCE.encode(), label) == SENTENCE


def test_latin_1_means_windows_1252() -> None:
    assert decode(b"\x93quoted\x94 \xe9", "ISO-8859-1") == "\u201cquoted\u201d é"


def test_one_broken_byte_keeps_the_rest_utf8() -> None:
    assert decode(("é" * 20).encode() + b"\xff") == "é" * 20 + "\ufffd"


def test_line_ends_nul_and_mark_are_normalised() -> None:
    assert decode(b"\xef\xbb\xbfa\r\nb\rc\0\n") == "a\nb\nc\n"


def test_undecodable_bytes_are_damaged() -> None:
    with pytest.raises(UnreadableFileError) as caught:
        decode(bytes(range(128, 256)) * 3 + b"\x81\x8d\x8f\x90\x9d\x00\x01\x02\x03" * 50)
    assert caught.value.code == "damaged"


UNICODE = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
UNICODE += ["utf-32", "utf-32-le", "utf-32-be"]
SCRIPTS = {
    "english": "The quick brown fox.",
    "german": "Größe und Übermaß.",
    "vietnamese": "Đây là một văn bản tiếng Việt.",
    "greek": "Αυτό είναι ένα κείμενο στα ελληνικά.",
    "russian": "Привет, мир! Это — «простой» текст.",
    "one word": "Привет",
    "georgian": "ეს არის ქართული ტექსტი.",
    "hebrew": "זהו טקסט בעברית.",
    "arabic": "هذا نص مكتوب بالعربية.",
    "hindi": "यह हिन्दी में लिखा एक पाठ है।",
    "tamil": "இது தமிழில் எழுதப்பட்ட உரை.",
    "thai": "นี่คือข้อความภาษาไทยที่ไม่มีช่องว่าง",
    "burmese": "ဤသည်မှာ မြန်မာစာ ဖြစ်သည်။",
    "amharic": "ይህ በአማርኛ የተጻፈ ጽሑፍ ነው።",
    "chinese": "这是一个用中文写的文本。它没有字节顺序标记。",
    "japanese": "これは日本語の文章です。漢字とかなが混ざっています。",
    "korean": "이것은 한국어로 쓴 글입니다.",
    "two scripts": "пчела 蜜蜂, улей 蜂箱, мёд 蜂蜜",
    "emoji": "Bees 🐝 dance 🌸 well.",
}


@pytest.mark.parametrize("encoding", UNICODE)
@pytest.mark.parametrize("script", SCRIPTS)
def test_unicode_is_recognised_in_every_script(script: str, encoding: str) -> None:
    data = SCRIPTS[script].encode(encoding)
    assert detect_media_type(BytesIO(data), "notes.txt") == PLAIN
    assert decode(data) == SCRIPTS[script]


ALPHABETS = {
    "latin": "abcdefghijklmnopqrstuvwxyzäöüéèñçå",
    "greek": "βγδεζηθκλμξπςτφχψωάέή",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "devanagari": "अआइईकखगघचछजझटठडढतथदधनपफबभमयरलवसह",
    "ideographs": "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会",
    "hangul": "가나다라마바사아자차카타파하한국어글",
}


@given(st.data(), st.sampled_from(sorted(ALPHABETS)), st.sampled_from(UNICODE))
def test_any_words_come_back(data: st.DataObject, script: str, encoding: str) -> None:
    word = st.text(ALPHABETS[script], min_size=1, max_size=12)
    lines = st.lists(st.lists(word, min_size=5, max_size=9).map(" ".join), min_size=1, max_size=5)
    text = "\n".join(data.draw(lines))
    assert decode(text.encode(encoding)) == text


BEES = {
    "windows-1252": "Die Bienen fliegen über die Häuser, ein schöner Tag für Käthe und Jürgen. ",
    "windows-1250": "Včely žijí v úlech a sbírají med, každá rodina má matku. Příliš žluťoučký. ",
    "windows-1251": "Пчелы живут в ульях. Каждая семья состоит из матки и рабочих пчел. ",
    "koi8-r": "Пчелы живут в ульях. Каждая семья состоит из матки, рабочих пчел и трутней. ",
    "windows-1253": "Τις μέλισσες ζουν σε κυψέλες και μαζεύουν μέλι το καλοκαίρι. ",
    "windows-1255": "זהו טקסט בעברית. הדבורים חיות בכוורת ואוספות דבש בקיץ. ",
    "shift_jis": "蜂は巣箱に住んでいます。夏に蜜を集めます。漢字とかなが混ざっています。",
    "euc_jp": "蜂は巣箱に住んでいます。夏に蜜を集めます。漢字とかなが混ざっています。",
    "iso-2022-jp": "蜂は巣箱に住んでいます。夏に蜜を集めます。",
    "gb18030": "蜜蜂住在蜂箱里。夏天它们采集花蜜。每个蜂群有一只蜂王。",
    "big5": "蜜蜂住在蜂箱裡。夏天牠們採集花蜜。每個蜂群有一隻蜂王。",
    "euc_kr": "꿀벌은 벌통에 삽니다. 여름에 꿀을 모으고 여왕벌이 한 마리 있습니다. ",
}


@pytest.mark.parametrize("stray", [b"", b"\0"])
@pytest.mark.parametrize("encoding", BEES)
def test_older_encodings_are_guessed_from_some_lines(encoding: str, stray: bytes) -> None:
    text = "\n".join([BEES[encoding]] * 3)
    data = text.encode(encoding) + stray
    assert detect_media_type(BytesIO(data), "notes.txt") == PLAIN
    assert decode(data) == text


LATIN = [
    ("windows-1252", "El niño comió piña mañana, ¿y qué más quería?"),
    ("windows-1252", "Le café est fermé à Noël, même le garçon."),
    ("windows-1252", "A informação não está disponível até às três."),
    ("windows-1252", "Åse køber rødgrød på Ærø."),
    ("windows-1252", "It\u2019s a \u201cnaïve\u201d café \u2013 £5, 25 °C."),
    ("windows-1252", "señor\n"),
    ("windows-1252", "1,é\n"),
    ("iso-8859-15", "Le cœur coûte 5 €, déjà."),
    ("windows-1250", "Dziś są żółte kwiaty, piękny ogród i świeże jabłka"),
    ("iso-8859-2", "Dziś są żółte kwiaty, piękny ogród i świeże jabłka"),
    ("windows-1250", "Příliš žluťoučký kůň úpěl ďábelské ódy"),
    ("windows-1250", "Árvíztűrő tükörfúrógép, és még öt őz."),
    ("windows-1254", "İstanbul'da güneşli bir gün, ağaçlar geç, yağmur"),
    ("windows-1257", "Ąžuolas šlama, žąsys gągena, ėriukas bėga"),
    ("iso-8859-16", "Știința și \u201eviața\u201d în țară"),
]


@pytest.mark.parametrize(("encoding", "text"), LATIN)
def test_latin_letters_are_those_of_one_language(encoding: str, text: str) -> None:
    data = text.encode(encoding)
    assert detect_media_type(BytesIO(data), "notes.txt") == PLAIN
    assert decode(data) == text


def test_a_foreign_name_does_not_change_the_language() -> None:
    text = (
        "El señor Škoda bebió café en España, comió piña mañana y pidió más jamón ibérico allí.\n"
    )
    assert decode((text * 40).encode("windows-1252")) == text * 40


@given(st.binary(max_size=300))
def test_whatever_is_decoded_can_be_saved(data: bytes) -> None:
    try:
        text = decode(data)
    except UnreadableFileError:
        return
    assert "\0" not in text
    text.encode()


def test_seven_bit_encoding_is_taken_when_it_is_declared() -> None:
    assert decode("Größe".encode("utf-7"), "UTF-7") == "Größe"
