"""What a synthesiser should read aloud for a written segment, in English.

Pure. Only what synthesisers read wrongly is rewritten (identifiers, times, money, units, addresses, markup);
plain numbers are left to the engine. It never raises, and text with a letter or digit never becomes empty.

The rules, in order:
* markup goes, the words of links, code and headings stay; emoji and control characters go;
* sentences that touch, as of two messages that a client joined, get their space;
* addresses are spelt: `a@b.co` is "a at b dot co", `https://b.co/x` is "b dot co slash x";
* `2026-11-22` is a date; `17:30` is "5 30 PM", `09:00` "9 AM", `10:15` stays without a half of the day;
* `$12.50` is "12 dollars and 50 cents"; `19 °C` is "19 degrees Celsius"; `45%` is "45 percent";
* a telephone number is read digit by digit with its pauses; an identifier (four or more digits in a row, or
  capitals with three or more digits) sign by sign: "4712" is "four seven one two". Four digits that look like a year
  (1900 to 2099) or a round number (ends in 00) are a number, unless a word such as "order" or "code" goes
  before them; digits before a unit ("1500 euros") are a number too.
"""

import re
import unicodedata
from collections.abc import Callable

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
CURRENCIES = {
    "$": ("dollar", "cent"),
    "€": ("euro", "cent"),
    "£": ("pound", "penny"),
    "¥": ("yen", ""),
}
UNITS = {
    "km/h": "kilometers per hour",
    "mph": "miles per hour",
    "km": "kilometers",
    "cm": "centimeters",
    "mm": "millimeters",
    "kg": "kilograms",
    "kWh": "kilowatt hours",
    "GB": "gigabytes",
    "MB": "megabytes",
}
MEASURES = (
    "dollars?|euros?|pounds?|yen|cents?|percent|degrees?|people|times|words|points|miles|meters|metres|kilometers|"
    "kilometres|kilograms|grams|liters|litres|hours|minutes|seconds|days|weeks|months|years"
)
NAMES_OF_CODES = (
    "order|orders|number|numbers|code|codes|reference|ref|ticket|account|pin|id|invoice|case|booking|confirmation|"
    "tracking|extension|room|flight|gate|no\\.|ending in"
)
CODE_DIGITS = 3  # capitals with fewer digits are a name: "B2B", "COVID-19"
_NAMES_OF_SIGNS = {str(i): word for i, word in enumerate(DIGITS)} | {"A": "ay", "a": "ay"}  # "A" is read as an article
Rewrite = Callable[[re.Match[str]], str]


def speech_text(text: str) -> str:
    """Empty when there is nothing to read aloud, as for punctuation alone."""
    if _SIMPLE.fullmatch(text):
        return text.rstrip()
    if not _readable(text):
        return ""
    return _rewritten(text)


def _rewritten(text: str) -> str:
    spoken = _plain(text)
    for pattern, rewrite in _RULES:
        spoken = pattern.sub(rewrite, spoken)
    spoken = _tidy(spoken)
    if _readable(spoken):
        return spoken
    return " ".join(re.findall(r"[^\W_]+", text))


def spell(signs: str) -> str:
    """Letters and digits one by one; everything else is left out."""
    return " ".join(_NAMES_OF_SIGNS.get(sign, sign.upper()) for sign in signs if sign.isalnum())


_SIMPLE = re.compile(r"(?:[A-Za-z']*[A-Za-z][,.!?;:]? )*[A-Za-z']*[A-Za-z][,.!?;:]? ?")  # no rule changes such words


def _readable(text: str) -> bool:
    return any(sign.isalnum() for sign in text)


_MARKUP: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"```\w*\n?|`"), ""),
    (re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)"), r"\1"),
    (re.compile(r"</?[a-zA-Z][^<>]{0,80}>"), " "),
    (re.compile(r"^[ \t]*(?:#{1,6}|>+|[-*+•])[ \t]+", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:[-*_=][ \t]*){3,}$", re.MULTILINE), ""),
    (re.compile(r"\*+|~~|__|(?<!\w)_|_(?!\w)"), ""),
    (re.compile(r"[ \t]*\|[ \t]*"), ", "),
    (re.compile(r"([^\W_])[ \t]*\n\s*"), r"\1. "),
)
_SIGNS = str.maketrans(
    {"’": "'", "‘": "'", "“": "", "”": "", '"': "", "«": "", "»": "", "…": "...", "—": ", ", "−": "-", "\u2044": "/"}
)


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFC", text.replace("\r", ""))
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return "".join(" " if _unspeakable(sign) else sign for sign in text.translate(_SIGNS))


def _unspeakable(sign: str) -> bool:
    """Control, private and unassigned characters, emoji, and what engines take as markup of their own."""
    return sign in "[]{}<>\\^~" or (sign not in "°" and unicodedata.category(sign) in _UNSPEAKABLE)


_UNSPEAKABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "So", "Sk", "Zl", "Zp"})


def _address(match: re.Match[str]) -> str:
    spelt = match[0].removeprefix("https://").removeprefix("http://").removeprefix("www.").rstrip("/")
    for sign, word in (("@", "at"), (".", "dot"), ("/", "slash"), ("_", "underscore"), ("-", "dash")):
        spelt = spelt.replace(sign, f" {word} ")
    return spelt


def _date(match: re.Match[str]) -> str:
    year, month, day = match[1], int(match[2]), int(match[3])
    return f"{MONTHS[month - 1]} {day}, {year}" if 1 <= month <= 12 and 1 <= day <= 31 else match[0]


def _time(match: re.Match[str]) -> str:
    hour, minute, half = int(match[1]), int(match[2]), (match[3] or "")[:1].lower()
    if hour > 23 or minute > 59:
        return match[0]
    if not half:
        half = "p" if hour > 12 else "a" if match[1].startswith("0") else ""
    minutes = "" if minute == 0 else f" oh {minute}" if minute < 10 else f" {minute}"
    if not minutes and not half:
        minutes = " o'clock"
    return f"{hour % 12 or 12}{minutes}" + (f" {half.upper()}M" if half else "")


def _money(match: re.Match[str]) -> str:
    sign, whole, hundredths, scale = (match[1] or match[5]), match[2], match[3], match[4]
    unit, part = CURRENCIES[sign]
    if scale:
        amount = f"{whole}.{hundredths}" if hundredths else whole
        return f"{amount} {scale} {_many(unit)}"
    spoken = f"{whole} {unit if whole == '1' else _many(unit)}"
    if hundredths and int(hundredths) and part:
        cents = int(hundredths)
        spoken += f" and {cents} {part if cents == 1 else _many(part)}"
    return spoken


def _many(word: str) -> str:
    return {"penny": "pence", "yen": "yen"}.get(word, f"{word}s")


def _degrees(match: re.Match[str]) -> str:
    scale = {"C": " Celsius", "F": " Fahrenheit"}.get(match[2] or "", "")
    return f"{_negative(match[1])} degree{'' if match[1].lstrip('-') == '1' else 's'}{scale}"


def _negative(number: str) -> str:
    return f"minus {number[1:]}" if number.startswith("-") else number


def _telephone(match: re.Match[str]) -> str:
    groups = re.findall(r"\d+", match[0])
    plus = "plus " if match[0].startswith("+") else ""
    return plus + ", ".join(spell(group) for group in groups)


def _code(match: re.Match[str]) -> str:
    return spell(match[0]) if sum(sign in "0123456789" for sign in match[0]) >= CODE_DIGITS else match[0]


def _digits(match: re.Match[str]) -> str:
    number = match[2]
    year = len(number) == 4 and 1900 <= int(number) <= 2099
    round_number = len(number) == 4 and number[2:] == "00" and number[0] != "0"
    is_name = match[1] is not None
    if (year or round_number) and not is_name:
        return match[0]
    return (match[1] or "") + spell(number)


_NUMBER = r"\d{1,3}(?:,\d{3})+|\d+"
_RULES: tuple[tuple[re.Pattern[str], Rewrite], ...] = (
    (re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+", re.ASCII), _address),
    (re.compile(r"\bhttps?://[^\s,;()]+[^\s,;().!?]|\bwww\.[\w-]+(?:\.[\w-]+)+(?:/[\w/.-]*\w)?", re.ASCII), _address),
    (re.compile(r"(?<=[a-z]{2}[.!?])(?=[A-Z][a-z])"), lambda _: " "),
    (re.compile(r"\b(\d{4})-(\d{2})-(\d{2})\b", re.ASCII), _date),
    (re.compile(r"\b(\d{1,2}):(\d{2})(?::\d{2})?(?:\s*([AaPp])(?:\.[Mm]\.|[Mm]\b))?(?![:\d])", re.ASCII), _time),
    (
        re.compile(rf"([$€£¥])\s?({_NUMBER})(?:\.(\d\d?))?\b(?:\s(thousand|million|billion)\b)?()", re.ASCII),
        _money,
    ),
    (re.compile(rf"()\b({_NUMBER})(?:[.,](\d\d))?()\s?([€£¥])", re.ASCII), _money),
    (re.compile(r"(?<![\w-])(-?\d+(?:\.\d+)?)\s?°\s?([CF]\b)?", re.ASCII), _degrees),
    (re.compile(r"(?<=\d)\s?%"), lambda _: " percent"),
    (
        re.compile(rf"(?<=\d)\s?({'|'.join(sorted(UNITS, key=len, reverse=True))})\b"),
        lambda match: f" {UNITS[match[1]]}",
    ),
    (re.compile(r"(?<![\w.,])\+?\d{1,4}(?:[ -]\d{2,4}){2,5}(?![\w-])|(?<![\w.,])\d{3}-\d{4}\b", re.ASCII), _telephone),
    (re.compile(r"\b(?=[A-Z-]*\d)[A-Z]{1,5}-?\d[A-Z\d-]*[A-Z\d]\b", re.ASCII), _code),
    (re.compile(r"#\s?(?=\d)"), lambda _: " number "),
    (
        re.compile(
            rf"(\b(?:{NAMES_OF_CODES})\b[\s:,]*(?:(?:is|was|number|no\.)[\s:,]+)*)?"
            rf"(?<![\w.,-])(\d{{4,}})(?![\w-]|[.,]\d|\s(?:{MEASURES})\b)",
            re.ASCII | re.IGNORECASE,
        ),
        _digits,
    ),
    (re.compile(r"(?<![\w-])(\d{1,3})[-–](\d{1,3})(?![\w-])", re.ASCII), lambda match: f"{match[1]} to {match[2]}"),
    (re.compile(r"(?<![\w-])-(?=\d)"), lambda _: "minus "),
    (re.compile(r"–"), lambda _: ", "),
    (re.compile(r"\s*&\s*"), lambda _: " and "),
    (re.compile(r"\s*@\s*"), lambda _: " at "),
    (re.compile(r"\s*=\s*"), lambda _: " equals "),
    (re.compile(r"(?<=\d)\s*\+\s*(?=\d)"), lambda _: " plus "),
    (re.compile(r"[#_/]"), lambda _: " "),
)


def _tidy(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\s+([,.!?;:])", r"\1", text)
    text = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text)
    return re.sub(r"^[,.;:!?\s]+", "", text)
