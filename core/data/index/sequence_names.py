"""The words by which MR series are named, in eight languages, and what a name says by them.

All tables are plain words and patterns without look-behind, so that they can be written as JSON and read by another
program. Words are in lower case, without accents, Cyrillic in Latin letters; a word may be several, with a space between.
Languages: English, German, French, Spanish, Italian, Portuguese, Dutch, Russian, and words of their neighbours.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Weighting = Literal["T1", "T2", "FLAIR"]
Mark = Literal["post", "post?", "pre", ""]
"""What a name says of the contrast agent: given, probably given, not given, nothing."""

WEIGHTINGS: dict[Weighting, tuple[str, ...]] = {
    "T1": (
        *("t1", "t1n", "mprage", "mp2rage", "spgr", "fspgr", "irfspgr", "bravo", "vibe", "lava", "thrive", "efgre3d"),
    ),
    "T2": ("t2",),
    "FLAIR": ("flair", "tirm", "dark fluid", "darkfluid", "da fl", "fluid attenuated", "t2f", "t2 f"),
}
"""Words of the three weightings; T1 with FLAIR is an inversion recovery of T1 weighting."""

OTHER_KINDS: dict[str, tuple[str, ...]] = {
    "a susceptibility or T2* image": (
        *(
            "t2 *",
            "t2 star",
            "t2star",
            "t2s",
            "swi",
            "swip",
            "swan",
            "venbold",
            "hemo",
            "haemo",
            "medic",
            "merge",
            "pha images",
        ),
        *("mip images", "qsm"),
    ),
    "a diffusion image": (
        *("dwi", "dti", "adc", "eadc", "trace", "tracew", "diff", "diffusion", "diffusione", "difusion", "difusao"),
        *("diffusie", "diffuziya", "diffuziia", "dki", "ivim", "noddi", "tensor", "colfa", "exp adc", "ep2d diff"),
    ),
    "a perfusion image": (
        *("perf", "perfusion", "perfusione", "perfusao", "perfusie", "perfuziya", "dsc", "dce", "asl", "pcasl", "pasl"),
        *("cbf", "cbv", "rcbf", "rcbv", "mtt", "ttp", "tmax", "ktrans", "twist", "tricks", "dyn", "dynamic"),
    ),
    "an echo-planar or functional image": ("bold", "fmri", "rsfmri", "epi", "ep2d", "resting state"),
    "an angiogram": (
        "tof",
        "mra",
        "mrv",
        "angio",
        "angiography",
        "inhance",
        "phase contrast",
        "3dpc",
        "2dpc",
        "venogram",
    ),
    "a projection": ("mip", "minip", "projection"),
    "a proton-density image": ("pd", "pdw", "dp", "proton density"),
    "a subtraction": (
        *("sub", "subs", "subtr", "subtract", "subtracted", "subtraction", "subtraktion", "soustraction"),
        *("sottrazione", "sustraccion", "subtracao", "subtractie", "subtrakciya"),
    ),
    "a map": (
        *("map", "maps", "mapping", "mappa", "carte", "mapa", "molli", "relaxometry", "fieldmap", "field mapping"),
        *("gre field", "phase map", "syntac", "magic", "t1 images", "inv1", "inv2"),
    ),
    "spectroscopy": ("mrs", "spectro", "spectroscopy", "spettro", "spektro", "svs", "csi", "mrsi", "press"),
    "a cisternogram or balanced image": ("ciss", "fiesta", "trufi", "bffe", "b ffe", "truefisp"),
    "a fat-nulled or double inversion image": ("stir", "dir", "double inversion"),
    "a calibration": ("asset", "calibration", "calib", "refscan", "ref scan", "coil survey", "shim"),
    "a localiser": (
        *("loc", "localizer", "localiser", "localizers", "localisers", "localizador", "localizzatore", "lokalizer"),
        *("localisateur", "scout", "scouts", "survey", "aahead", "aahscout", "aascout", "plan scan", "3 pl", "3plane"),
        *("3 plane", "smartbrain", "smart brain", "topogram"),
    ),
    "a label map": ("seg", "mask", "dseg", "segm", "segmentation", "mascara", "maschera", "maske", "masque"),
}
"""Series of a brain examination that are none of the four, by what they are."""
LOCALISERS = frozenset(OTHER_KINDS["a localiser"])
ECHO_PLANAR_KINDS = ("a diffusion image", "a perfusion image", "an echo-planar or functional image")
"""Kinds that are read out by echo planar imaging: such a word on a series that was not is part of another name."""
LABEL_FILES = ("label", "labels", "lesion", "lesions", "roi", "rois", "annotation", "annotations", "aseg", "parc")
"""Words that name a label map in a file's name, but an indication or a protocol in a header."""
GRADIENT_ECHOES = ("gre", "ffe", "fl2d", "fl3d", "me2d", "me3d", "gradient", "flash")
"""With T2, they name a T2* image."""
REFORMATS = (
    *("mpr", "mpvr", "mprs", "reformat", "reformatted", "reformats", "rfmt", "reformation", "ricostruzione", "ricostr"),
    *(
        "rekonstruktion",
        "reconstruction",
        "reconstruccion",
        "reconstrucao",
        "reconstructie",
        "rekonstrukciya",
        "curved",
    ),
)
"""Words of images that were computed from a series, in another plane."""

AGENTS = (
    *("ce", "gd", "gad", "gado", "gadolinium", "gadolinio", "gadoliny", "dtpa", "gadovist", "gadavist", "dotarem"),
    *("clariscan", "magnevist", "multihance", "omniscan", "prohance", "vueway", "elucirem", "primovist", "artirem"),
    *("magnegita", "cyclolux", "contrast", "contraste", "contrasto", "contr", "contrasted", "kontrast", "kontrasta"),
    *("kontrastom", "kontrastu", "kontrastmittel", "kontr", "contrastmiddel", "mdc", "km", "kv", "ku", "enhanced"),
    *("postgd", "postgad", "postgado", "postkm", "postmdc"),
)
"""A contrast agent by name; with a negation before it, its absence."""
AFTER = ("post", "postinjection", "enh")
"""After contrast, where no phrase of :data:`NOT_OF_CONTRAST` holds it."""
PERHAPS_AFTER = (
    *("c", "dopo", "nach", "apres", "despues", "tras", "apos", "pos", "na", "posle", "inj", "injection", "injected"),
    *("injecte", "injectee", "iniezione", "inyeccion", "injektion", "injectie", "iv", "civ", "delayed", "late", "ks"),
    *("efter", "etter", "po"),
)
"""Words that mean "after" or "injected" and something else besides, and a letter that often means contrast."""
BEFORE = (
    *("pre", "precontrast", "pregd", "pregad", "native", "nativ", "nativa", "nativo", "natif", "basale"),
    *(
        "basal",
        "blanco",
        "plain",
        "wo",
        "unenhanced",
        "nonenhanced",
        "noncontrast",
        "noncon",
        "t1n",
        "nc",
        "prekm",
        "premdc",
    ),
    *("without", "senza", "ohne", "sans", "sin", "sem", "zonder", "bez", "utan", "uten", "uden"),
)
"""Before or without contrast."""
NEGATIONS = frozenset(
    {
        "without",
        "wo",
        "utan",
        "uten",
        "uden",
        "fore",
        "no",
        "non",
        "not",
        "senza",
        "ohne",
        "sans",
        "sin",
        "sem",
        "zonder",
        "bez",
        "pre",
        "before",
        "prima",
    }
    | {"vor", "avant", "antes", "voor", "do", "pered", "minus", "un"}
)
"""Words that turn the agent that follows them, within two words, into none."""
NOT_OF_CONTRAST = (
    *("post op", "pre op", "postop", "preop", "post operative", "pre operative", "postoperative", "preoperative"),
    *(
        "post rt",
        "pre rt",
        "post radiation",
        "post radio",
        "post surgery",
        "pre surgery",
        "post surgical",
        "post fossa",
    ),
    *("fossa post", "post biopsy", "post treatment", "pre treatment", "post tx", "pre tx", "post chir", "post chemo"),
    *(
        "basal ganglia",
        "post processing",
        "post processed",
        "post proc",
        "pre int",
        "post int",
        "pre scan",
        "prescan",
        "post label",
    ),
)
"""Phrases in which "pre" and "post" speak of something else."""
BOTH = (
    *("with and without", "without and with", "senza e con", "con e senza", "ohne und mit", "mit und ohne"),
    *(
        "avec et sans",
        "sans et avec",
        "sin y con",
        "con y sin",
        "sem e com",
        "com e sem",
        "zonder en met",
        "met en zonder",
    ),
    *(
        "senza con",
        "with without",
        "without with",
        "pre and post",
        "pre post",
        "wo w",
        "w wo",
        "without w",
        "without and w",
        "bez i s",
        "do i posle",
    ),
)
"""Both before and after: what an examination is called, which tells nothing of one series."""
MODIFIERS = (
    *("ax", "axi", "axial", "sag", "sagittal", "cor", "coronal", "tra", "trans", "obl", "3d", "2d", "s", "fs", "tse"),
    *(
        "fse",
        "se",
        "ffe",
        "tfe",
        "gre",
        "ir",
        "iso",
        "vol",
        "space",
        "spc",
        "cube",
        "vista",
        "fl",
        "blade",
        "propeller",
    ),
    *("*", "tfl", "fl2d", "fl3d", "isotropic", "brain", "head", "w", "wi", "weighted", "fast", "high", "thin", "nav"),
)
"""Words that are written into one with the others ("sagT1TSEce") and say nothing by themselves."""

CYRILLIC = {
    **{"а": "a", "б": "b", "в": "v", "г": "g", "д": "d", "е": "e", "ё": "e", "ж": "zh", "з": "z", "и": "i", "й": "y"},
    **{"к": "k", "л": "l", "м": "m", "н": "n", "о": "o", "п": "p", "р": "r", "с": "s", "т": "t", "у": "u", "ф": "f"},
    **{
        "х": "kh",
        "ц": "ts",
        "ч": "ch",
        "ш": "sh",
        "щ": "shch",
        "ъ": "",
        "ы": "y",
        "ь": "",
        "э": "e",
        "ю": "yu",
        "я": "ya",
    },
}
REWRITES: tuple[tuple[str, str], ...] = (
    (r"(^|[_/ ])(sub|ses)-[a-z0-9]+", " "),  # a subject of BIDS is no subtraction
    (r"_", " "),
    (r"\bm\.d\.c\b\.?", " mdc "),
    (r"\bk\.m\b\.?", " km "),
    (r"\bw ?[/&+]? ?w ?/? ?o(ut)?\b", " with and without "),
    (r"\bw ?/ ?o(ut)?\b|\bw o\b", " without "),
    (r"\bs ?/ ?(c|mdc|contr[a-z]*)\b", " without contrast "),
    (r"\bc ?/ ?(c|mdc|contr[a-z]*)\b", " with contrast "),
    (r"(^|[^+a-z0-9])(c|gd|gad|gado|km|mdc|ce|kv|ku)-(?=$|[ ,;)])", " without contrast "),
    (r"(^| )-c\b", " without contrast "),
    (r"(contrast[eo]?|kontrast(mittel|om|a|u)?|mprage|mp2rage|flair|fspgr|darkfluid|tracew)", r" \1 "),
    (r"\+", " + "),
    (r"\* *([a-z])", r"* \1"),
    (r"[^a-z0-9*+]+", " "),
    (r"\bmp rage\b", "mprage"),
    (r"\bt1c\b", "t1 ce"),
)
"""What is done to a name in lower case before it is split into words, in order: pattern and replacement."""
SYNONYMS = {"t1w": "t1", "t1wi": "t1", "t2w": "t2", "t2wi": "t2"}
STEMS = ("t1", "t2", "gado")
"""A word that holds one of these may be several words written into one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesName:
    """What the name of a series says."""

    weighting: Weighting | None = None
    other: str = ""
    """What it is instead of one of the four; a key of :data:`OTHER_KINDS`."""
    mark: Mark = ""
    reformat: bool = False
    """A reformat of another series."""
    dual: bool = False
    """Named for proton density and T2: the echo tells which."""
    base: tuple[str, ...] = ()
    """Its words without those about contrast: series before and after contrast share it."""

    @property
    def says_nothing(self) -> bool:
        """Whether neither a weighting nor another kind is named."""
        return self.weighting is None and not self.other


@lru_cache(maxsize=4096)
def read_name(text: str, *, file: bool = False) -> SeriesName:
    """Return what a folder's, a file's or a series' name says.

    Parameters
    ----------
    text
        The name, not a path.
    file
        Whether it is a file's: words such as "lesion" and "roi" then name a label map.
    """
    words = split_words(text)
    line = f" {' '.join(words)} "

    def has(table: tuple[str, ...]) -> bool:
        return any(f" {word} " in line for word in table)

    t1, t2, flair = (has(WEIGHTINGS[kind]) for kind in ("T1", "T2", "FLAIR"))
    others = [kind for kind, table in OTHER_KINDS.items() if has(table)]
    dual = t2 and not t1 and others == ["a proton-density image"]
    if dual:
        others = []
    elif t1 and t2:
        others.append("several weightings")
    elif t2 and not flair and has(GRADIENT_ECHOES):
        others.append("a susceptibility or T2* image")
    elif file and has(LABEL_FILES):
        others.append("a label map")
    weighting: Weighting | None = "T1" if t1 else "FLAIR" if flair else "T2" if t2 else None
    mark, base = _read_mark(words)
    return SeriesName(
        weighting=weighting,
        other=others[0] if others else "",
        mark=mark,
        reformat=has(REFORMATS),
        dual=dual,
        base=base,
    )


def split_words(text: str) -> list[str]:
    """Return the words of a name: "AXT1POST" and "Ax T1 post" give the same; a star and a plus are words."""
    plain = "".join(CYRILLIC.get(letter, letter) for letter in text.lower())
    plain = "".join(part for part in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(part))
    for pattern, replacement in REWRITES:
        plain = re.sub(pattern, replacement, plain)
    return [SYNONYMS.get(word, word) for token in plain.split() for word in _take_apart(token)]


def _read_mark(words: list[str]) -> tuple[Mark, tuple[str, ...]]:
    """Return what is said about contrast, and the other words."""
    line = f" {' '.join(words)} "
    base = tuple(word for word in words if word not in ABOUT_CONTRAST)
    if any(f" {phrase} " in line for phrase in BOTH):
        return "", base
    for phrase in NOT_OF_CONTRAST:
        line = line.replace(f" {phrase} ", " ")
    spoken = line.split()
    given, absent, perhaps = False, False, False
    for place, word in enumerate(spoken):
        beside = [*spoken[max(0, place - 1) : place], *spoken[place + 1 : place + 2]]
        if word in AGENTS or (word == "c" and "+" in beside):
            negated = bool(NEGATIONS.intersection(spoken[max(0, place - 2) : place]))
            absent, given = absent or negated, given or not negated
        given = given or word in AFTER
        perhaps = perhaps or word in PERHAPS_AFTER or (word == "+" and place == len(spoken) - 1)
        absent = absent or word in BEFORE
    if given and absent:
        return "", base
    return ("pre" if absent else "post" if given else "post?" if perhaps else ""), base


ABOUT_CONTRAST = frozenset({*AGENTS, *AFTER, *PERHAPS_AFTER, *BEFORE, *NEGATIONS, "+", "with"})
VOCABULARY = frozenset(
    word
    for table in (
        *WEIGHTINGS.values(), *OTHER_KINDS.values(), tuple(SYNONYMS), REFORMATS, AGENTS, AFTER, PERHAPS_AFTER, BEFORE, MODIFIERS, NEGATIONS,
    )
    for word in table
    if " " not in word
)  # fmt: skip
"""Every single word that is known here."""


@lru_cache(maxsize=4096)
def _take_apart(token: str) -> tuple[str, ...]:
    """Split a word that is several written into one, where all its parts are known; else it stays whole."""
    if not any(stem in token for stem in STEMS):
        return (token,)
    return _known_parts(token) or (token,)


def _known_parts(text: str) -> tuple[str, ...]:
    """Return the longest known words that make up a text; empty where none do."""
    if text in VOCABULARY:
        return (text,)
    for end in range(len(text) - 1, 0, -1):
        rest = _known_parts(text[end:]) if text[:end] in VOCABULARY else ()
        if rest:
            return (text[:end], *rest)
    return ()
