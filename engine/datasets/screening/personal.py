"""Personal data by its forms: addresses, numbers of phones, cards, accounts and people.

Not looked for: names, and postal addresses, which have no form of their own.
Known to be nobody's are let pass: example.com and its kin (RFC 2606), 555-01xx (reserved for fiction), and addresses
that are no single machine's on the internet (RFC 5737, 3849, 1918, loopback).
"""

import ipaddress
import re
from functools import lru_cache

from engine.datasets.screening.rules import Rule, digits

_NUMBER = re.compile(r"\d[\d .()/-]{5,}\d")
"""Most texts hold no number as long as this; where none is, no rule on numbers is tried."""


@lru_cache(maxsize=1)  # six rules ask of one text
def _long_number(text: str) -> bool:
    return bool(_NUMBER.search(text))


# E-mail

_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9_](?:[\w.+-]{0,62}[A-Za-z0-9_])?@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z]{2,24}(?![\w@-])"
)
_NOBODY = re.compile(
    r"@(?:[\w.-]+\.)?(?:example\.(?:com|org|net|edu)|example|test|invalid|localhost)$|"
    r"^you(?:r[\w.]*)?@|@(?:your[\w-]*|domain)\.com$",
    re.IGNORECASE,
)
_FILES = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|css|js)$", re.I)  # logo@2x.png


def _is_email(match: re.Match[str]) -> bool:
    return not _NOBODY.search(match.group()) and not _FILES.search(match.group())


def _mask_email(text: str) -> str:
    name, _, domain = text.partition("@")
    return f"{name[0]}…@{domain}"


# Phone

_PHONE = re.compile(
    r"(?<![\w.+/-])(?P<it>"
    r"\+[1-9]\d{0,2}(?:[ .()/-]{0,2}\d){6,14}"  # international: E.164, 15 digits at most
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}"  # (415) 867-5309
    r"|(?:1[ .-])?[2-9]\d{2}[ .-][2-9]\d{2}[ .-]\d{4}"  # 415-867-5309
    r"|0\d(?:[ .]\d{2}){4}"  # 06 12 34 56 78
    r"|\(?0\d{2,4}\)?(?:[ /-]\d{3,8}|[ ]\d{3,4}[ ]\d{3,4})"  # 0171 1234567, 030/1234567, 020 7946 0018
    r")(?![\w-]|[.,]\d)"
)
_CALLED = re.compile(
    r"\b(?:phone|tel|telephone|telefon|téléphone|mobile|cell|cellphone|handy|fax|whatsapp|call(?: me| us)?(?: at| on)?)"
    r"(?: (?:number|no\.?|nr\.?))?(?: is)?[:.]? {0,2}(?P<it>\+?\(?\d(?:[ .()/-]{0,2}\d){6,14})(?![\w-]|[.,]\d)",
    re.IGNORECASE,
)
_FICTION = re.compile(r"555[ .-]?01\d\d$")
_DATE = re.compile(r"^\(?(?:\d{1,2}[ ./-]\d{1,2}[ ./-]\d{2,4}|\d{4}[ ./-]\d{1,2}[ ./-]\d{1,2})\)?$")
_NUMBERS_BEFORE = re.compile(r"[\d=*/+^×$€£%][ ]?$")


def _is_phone(match: re.Match[str]) -> bool:
    text = match.group("it")
    plain = digits(text)
    least = 7 if match.re is _CALLED else 9
    if not least <= len(plain) <= 15 or len(set(plain)) < 3:
        return False
    if _FICTION.search(text) or _DATE.match(text):
        return False
    # A list of numbers (020 123 4567 890) or a sum is no phone number.
    before, after = match.string[: match.start("it")], match.string[match.end("it") :]
    return not _NUMBERS_BEFORE.search(before[-3:]) and not re.match(r" ?[\d=*+^×%]", after)


def _mask_number(text: str) -> str:
    plain = digits(text)
    return f"{'+' if text.startswith('+') else ''}{plain[:2]}…{plain[-2:]} ({len(plain)} digits)"


# Cards, accounts, people

_CARD = re.compile(
    r"(?<![\w.-])(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -]?)\d{6}\2\d{5})(?![\w-]|[.,]\d)"
)
_ISSUER = re.compile(r"4|5[1-5]|2[2-7]|3[47]|30[0-5]|3[68]|6011|64[4-9]|65|35|62")


def luhn(number: str) -> bool:
    """Whether the check digit is right (ISO/IEC 7812-1)."""
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in number[-2::-2]]
    return (sum(doubled) + sum(map(int, number[-1::-2]))) % 10 == 0


def _is_card(match: re.Match[str]) -> bool:
    plain = digits(match.group())
    return len(set(plain)) > 1 and bool(_ISSUER.match(plain)) and luhn(plain)


_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18,
    "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24,
    "XK": 20,
}  # fmt: skip
"""Characters of an IBAN by country (ISO 13616 registry)."""


def iban(text: str) -> bool:
    """Whether the length fits the country and the checksum (mod 97) is right."""
    plain = text.replace(" ", "")
    if len(plain) != _IBAN_LENGTHS.get(plain[:2]):
        return False
    return int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


_SSN = re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_VOID_SSN = {"078-05-1120", "219-09-9999"}  # printed in advertisements, and void since

# Internet addresses

_IPV4 = re.compile(r"(?<![\w./-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:.])")
_VERSION = re.compile(r"(?:\bv|version|release|build|section|chapter|firmware|§)[\s:#]*$", re.IGNORECASE)
_EVERYBODYS = {"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"}  # public resolvers


def _is_address(match: re.Match[str]) -> bool:
    if match.group() in _EVERYBODYS or _VERSION.search(match.string, max(0, match.start() - 20), match.start()):
        return False
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return False
    return address.is_global and not address.is_multicast and match.group().count(":") != 2


def _mask_address(text: str) -> str:
    mark = ":" if ":" in text else "."
    return f"{text.split(mark)[0]}{mark}…"


RULES: tuple[Rule, ...] = (
    Rule("e-mail address", _EMAIL, lambda text: "@" in text, _is_email, _mask_email),
    Rule("card number", _CARD, _long_number, _is_card, _mask_number),
    Rule("IBAN", _IBAN, _long_number, lambda match: iban(match.group()), lambda text: f"{text[:4]}…{text[-2:]}"),
    Rule("US social security number", _SSN, _long_number, lambda match: match.group() not in _VOID_SSN, _mask_number),
    Rule("IP address", _IPV4, _long_number, _is_address, _mask_address),
    Rule("IP address", _IPV6, lambda text: text.count(":") >= 3, _is_address, _mask_address),
    Rule("phone number", _PHONE, _long_number, _is_phone, _mask_number),
    Rule("phone number", _CALLED, _long_number, _is_phone, _mask_number),
)
"""In the order in which they are tried: what one has found, a later one does not find again."""
