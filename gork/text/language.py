"""What is known of languages: small tables of words, and when two words are the same word.

There is no language library here: those that detect languages need sentences, and prompts are four words long. What has to be noticed
is only that the words of one language became those of another.
"""

from __future__ import annotations

from collections.abc import Mapping


def word_set(words: str) -> frozenset[str]:
    """The words of a text between blanks, as a set: how tables of words are written down here."""
    return frozenset(words.split())


def _sets(table: Mapping[str, str]) -> dict[str, frozenset[str]]:
    return {name: word_set(words) for name, words in table.items()}


LIGHT = _sets(
    {
        "en": """a an the is are was were be been being am do does did done doing have has had can could would should may might must
        shall of in on at for to with by about into from as and i you he she it we they me him her us them my your his hers its
        our their this that these those there here so one some any like d ll m re s ve""",
        "de": """der die das den dem des ein eine einen einem einer ist sind war waren sein wird werden hat haben hatte kann können ich
        du er sie es wir ihr mich mir dich dir uns mein meine dein deine von vom zu zum zur in im an am auf für mit bei und man
        sich als wie""",
        "fr": """le la les l un une des du de d est sont était être a ont avoir peut peux pouvez je tu il elle nous vous ils elles me te
        se mon ma mes ton ta tes son sa ses ce cet cette ces c à au aux en dans pour avec par et y on s j m t qu que ça""",
        "es": """el la los las un una unos unas de del es son era ser está están ha han puede puedo puedes yo tú él ella nosotros ellos
        me te se mi tu su mis tus sus este esta estos estas a al en para por con y e lo le que hay""",
        "it": """il lo la i gli le un uno una di del della dei delle è sono era essere ha hanno può posso puoi io tu lui lei noi voi mi
        ti si mio mia tuo tua questo questa a al alla in nel nella per con da dal e che l d""",
        "pt": """o a os as um uma de do da dos das é são era ser está tem têm pode posso eu tu ele ela nós me te se meu minha seu sua
        este esta isto em no na nos nas para por com ao à e que""",
        "nl": """de het een is zijn was waren wordt heeft hebben kan kunnen ik jij je u hij zij ze wij we mijn jouw dit dat deze die van
        voor in op aan met bij te en er om""",
        "ru": """и в во на с со к ко о об у по за из от для это этот эта эти я ты он она оно мы вы они мне меня тебе мой моя твой есть
        был была было быть бы ли же можно могу""",
        "ar": "في من إلى على عن هو هي هم أن إن و يا هذا هذه ذلك لي",
    }
)
"""Words that carry grammar more than meaning: they may come and go."""

ASKING = _sets(
    {
        "en": "what which who whom whose when where why how",
        "de": "was welche welcher welches welchen wer wen wem wessen wann wo wohin woher warum wieso weshalb wie wieviel",
        "fr": "quel quelle quels quelles quoi qui quand où pourquoi comment combien",
        "es": "qué cuál cuáles quién quiénes cuándo dónde cómo cuánto cuánta cuántos cuántas",
        "it": "cosa quale quali chi quando dove perché come quanto quanti quante qual",
        "pt": "quê qual quais quem quando onde como quanto quantos quantas",
        "nl": "wat welke wie wanneer waar waarom hoe hoeveel",
        "ru": "что какой какая какое какие кто кого когда где куда откуда почему зачем как сколько",
        "ar": "ما ماذا من متى أين لماذا كيف كم هل أي",
    }
)

DENYING = _sets(
    {
        "en": "not no never without none nothing nobody nowhere neither nor except",
        "de": "nicht kein keine keinen keinem keiner keines nie niemals ohne nichts niemand weder außer",
        "fr": "pas sans jamais aucun aucune rien sauf ni",
        "es": "no sin nunca jamás ningún ninguna ninguno nada excepto ni",
        "it": "non senza mai nessun nessuno nessuna niente nulla né",
        "pt": "não sem nunca nenhum nenhuma nada exceto nem",
        "nl": "niet geen nooit zonder niets niemand",
        "ru": "не нет без никогда ничего никто ни кроме нельзя",
        "ar": "لا ليس ليست لم لن بدون غير دون",
    }
)

COURTESY = _sets(
    {
        "en": """please thanks thank hey hi hello yo explain know need want help just really actually wondering guys dude bro lol ok okay
        um uh kindly quick question""",
        "de": "bitte danke hallo hi hey mal doch erkläre erklär",
        "fr": "svp stp s'il merci bonjour salut plaît",
        "es": "por favor gracias hola",
        "it": "favore grazie ciao",
        "pt": "favor obrigado olá",
        "nl": "alsjeblieft graag bedankt hallo",
        "ru": "пожалуйста спасибо привет скажи",
        "ar": "فضلك شكرا مرحبا",
    }
)
"""Words that a rewrite may leave out."""

FRAMING = _sets({"en": "please explain", "de": "bitte", "fr": "svp", "es": "favor", "it": "favore", "pt": "favor", "ru": "пожалуйста"})
"""Words that a rewrite may put in."""

TASKS = word_set("""write give list translate explain summarize summarise convert tell fix name make create show generate describe
find calculate
compute compare compose suggest recommend draft rewrite correct solve draw design plan rate rank add remove count define prove
choose pick build""")
"""Verbs that ask for something to be done: turned into "how do I", the prompt asks for something else."""

AUXILIARIES = word_set("is are was were do does did can could would will should may might must shall has have had am isn't aren't")

POINTING = word_set("""it its that this those these he him his she her they them their ones more again same also instead other
another else former
latter previous above er sie diese dieser davon dazu noch mehr il elle ils elles cela ça eso esto él ella más он она они это еще
ещё него ذلك هو هي""")
"""Words that point back at what was said before."""

GOING_ON = word_set("and but or also then now und aber oder et mais y o pero e ma и а но или و")
"""First words of a prompt that goes on from the one before."""

ORDERED = word_set("from than before after into over under minus instead except by against beyond")
"""Words whose two sides must not change places: "from A to B" is not "from B to A"."""

KEYED = word_set("""namespace named called file folder directory table column branch user pod container image variable function class
method host
server database key word""")
"""The word after one of these is a name, however it is written."""

CONFUSABLE = frozenset(
    frozenset(pair.split("/"))
    for pair in """causal/casual united/untied angel/angle trial/trail martial/marital form/from diary/dairy plant/planet word/world
    price/prince contact/contract desert/dessert lose/loose bean/been plan/plane plan/plant cloth/clothe quiet/quite quite/quit
    than/then affect/effect sever/server star/start able/table moring/morning sacred/scared bread/bred thread/tread
    thread/threat color/collar track/tack weather/whether latter/later further/farther county/country moral/morale human/humane
    planed/planned Iran/Iraq heart/heat heart/hear beat/beast boar/board coast/cost cast/coast fist/first fiend/friend
    signal/single stake/steak""".casefold().split()
)
"""Pairs of words that are one typing slip apart and still two words."""

ALIASES = {
    "2day": "today", "2morrow": "tomorrow", "2nite": "tonight", "abt": "about", "aint": "is not",
    "ain't": "is not", "arent": "are not", "b4": "before", "bc": "because", "cannot": "can not", "cant": "can not", "can't": "can not",
    "cld": "could", "couldnt": "could not", "coz": "because", "cpp": "c++", "csharp": "c#", "cuz": "because", "db": "database", "dbs":
    "databases", "diff": "difference", "didnt": "did not", "doesnt": "does not", "dont": "do not", "evry": "every",
    "e-mail": "email", "e-mails": "emails", "fav": "favorite",
    "favourite": "favorite", "gimme": "give me", "gonna": "will", "gr8": "great", "hasnt": "has not", "havent": "have not", "hows":
    "how is", "hwo": "how", "i18n": "internationalization", "im": "i am", "isnt": "is not", "ive": "i have", "js": "javascript", "k8s":
    "kubernetes", "lang": "language", "langs": "languages", "lets": "let us", "m8": "mate", "msg": "message", "n": "and", "node.js":
    "nodejs", "pic": "picture", "pics": "pictures", "plis": "please", "pls": "please", "plz": "please", "postgres":
    "postgresql", "ppl": "people", "py": "python", "r": "are", "rly": "really", "shouldnt": "should not", "ta": "thanks", "teh": "the",
    "thx": "thanks", "tmrw": "tomorrow", "ts": "typescript", "u": "you", "ur": "your", "vid": "video", "vs": "versus", "w/": "with",
    "w/o": "without", "wanna": "want to", "wasnt": "was not", "wat": "what", "wats": "what is", "wha": "what", "whats": "what is",
    "wheres": "where is", "whos": "who is", "whould": "would", "whys": "why is", "wich": "which", "wit": "with", "wont": "will not",
    "won't": "will not", "wouldnt": "would not", "wut": "what", "xmas": "christmas", "yr": "your", "&": "and", "everytime": "every time",
}  # fmt: skip
"""Short and sloppy spellings, each with the words that it stands for."""

UNSPACED_LIGHT = frozenset("的是请請什么麼吗嗎呢如何怎哪里裡了在个個我你您与與和能可以告诉訴为為一下用有这這那它他她们們谁誰多少几幾")
UNSPACED_ASKING = (
    "什么",
    "什麼",
    "吗",
    "嗎",
    "呢",
    "怎",
    "哪",
    "谁",
    "誰",
    "何",
    "几",
    "幾",
    "多少",
    "ですか",
    "ますか",
    "なぜ",
    "どう",
    "อะไร",
    "ไหน",
)
UNSPACED_DENYING = ("不", "没", "沒", "無", "无", "别", "勿", "非", "未", "ない", "ません", "ずに", "なく", "ไม่")

_SCRIPTS = (
    (0x0370, 0x03FF, "Greek"), (0x0400, 0x052F, "Cyrillic"), (0x0530, 0x058F, "Armenian"), (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x077F, "Arabic"), (0x0900, 0x097F, "Devanagari"), (0x0980, 0x0DFF, "Indic"), (0x0E00, 0x0E7F, "Thai"),
    (0x0E80, 0x0FFF, "Lao or Tibetan"), (0x1000, 0x109F, "Burmese"), (0x10A0, 0x10FF, "Georgian"), (0x1100, 0x11FF, "Hangul"),
    (0x1200, 0x139F, "Ethiopic"), (0x1780, 0x17FF, "Khmer"), (0x1F00, 0x1FFF, "Greek"), (0x3040, 0x30FF, "Kana"),
    (0x3130, 0x318F, "Hangul"), (0x3400, 0x9FFF, "Han"), (0xAC00, 0xD7AF, "Hangul"), (0xF900, 0xFAFF, "Han"),
    (0xFB50, 0xFDFF, "Arabic"), (0xFE70, 0xFEFF, "Arabic"), (0xFF66, 0xFF9F, "Kana"), (0x20000, 0x3FFFF, "Han"),
)  # fmt: skip


def script(letter: str) -> str:
    """The script of a letter; "Latin" where the table has none for it.

    >>> script("é"), script("ж"), script("中")
    ('Latin', 'Cyrillic', 'Han')
    """
    code = ord(letter)
    return next((name for first, last, name in _SCRIPTS if first <= code <= last), "Latin")


def stem(word: str) -> str:
    """A word without its inflectional endings.

    >>> stem("cities"), stem("reversing"), stem("stopped"), stem("faster")
    ('citi', 'revers', 'stop', 'faster')
    """
    root = word
    for ending in ("'s", "'", "ing", "ed", "es", "s"):
        if root.endswith(ending) and len(root) - len(ending) >= 3 and not (ending == "s" and root.endswith(("ss", "us", "is"))):
            root = root[: -len(ending)]
            if ending in {"ing", "ed"} and root[-1] == root[-2] and root[-1] not in "lsz":
                root = root[:-1]
            break
    if len(root) > 3 and root[-1] in "ey":
        root = root[:-1] + ("i" if root[-1] == "y" else "")
    return root


def is_slip(written: str, corrected: str) -> bool:
    """Whether two words are one typing slip apart: a letter missing, doubled, swapped with its neighbour, or a wrong vowel.

    >>> is_slip("captial", "capital"), is_slip("germny", "germany"), is_slip("iran", "iraq"), is_slip("install", "uninstall")
    (True, True, False, False)
    """
    if min(len(written), len(corrected)) < 4 or written[0] != corrected[0] or abs(len(written) - len(corrected)) > 1:
        return False
    if frozenset((written, corrected)) in CONFUSABLE:
        return False
    at = next((i for i, (a, b) in enumerate(zip(written, corrected, strict=False)) if a != b), min(len(written), len(corrected)))
    a, b = written[at:], corrected[at:]
    if len(a) != len(b):
        return (a[1:] == b if len(a) > len(b) else a == b[1:]) and bool(a[1:] or b[1:])  # one more letter at the very end is an ending
    swapped = len(a) > 1 and a[0] == b[1] and a[1] == b[0] and a[2:] == b[2:]
    wrong_vowel = len(a) > 1 and a[0] in "aeiou" and b[0] in "aeiou" and a[1:] == b[1:]
    return swapped or wrong_vowel


def language(words: frozenset[str]) -> str | None:
    """The language whose light words are the most frequent among these; None when two languages tie, or fewer than two words match.

    >>> language(word_set("was ist die hauptstadt von frankreich")), language(frozenset(["paris"]))
    ('de', None)
    """
    hits = sorted(((len(words & (LIGHT[name] | ASKING[name] | DENYING[name])), name) for name in LIGHT), reverse=True)
    (most, name), (second, _) = hits[:2]
    return name if most >= 2 and most > second else None
