"""Bytes to text in the charset mail names, never failing.

Only charsets of a fixed table are looked up: a name taken from a letter must not reach Python's codec search, which imports
modules by that name, remembers every miss, and knows codecs that are no charsets or run in quadratic time.
"""

from encodings.aliases import aliases

_NOT_CHARSETS = {"base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec", "zlib_codec", "mbcs", "tactis"}
_WIDER = {
    "ascii": "", "latin_1": "cp1252", "iso8859_9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932",
    "euc_kr": "cp949", "tis_620": "cp874", "iso8859_11": "cp874",
}
_EXTRA = {
    "x_sjis": "cp932", "ms_kanji": "cp932", "windows_31j": "cp932", "x_gbk": "gb18030", "x_euc_jp": "euc_jp", "windows_874": "cp874",
    "windows_949": "cp949", "iso_8859_8_i": "iso8859_8", "iso_8859_6_i": "iso8859_6", "x_mac_roman": "mac_roman",
    "macintosh": "mac_roman", "unicode_1_1_utf_7": "utf_7", "x_unicode_2_0_utf_7": "utf_7", "big5_hkscs": "big5hkscs",
    "x_x_big5": "big5", "utf8mb4": "utf_8", "cp_850": "cp850", "x_cp1252": "cp1252",
}


def _table() -> dict[str, str]:
    """Map every known spelling to the codec read for it; the browsers' wider supersets stand for their subsets."""
    codecs = {name: codec for name, codec in aliases.items() if codec not in _NOT_CHARSETS}
    codecs |= {codec: codec for codec in codecs.values()}
    codecs |= _EXTRA
    return {name: _WIDER.get(codec, codec) for name, codec in codecs.items()}


_CODECS = _table()


def guess(data: bytes) -> str:
    """Read bytes of no (or no known) charset: as UTF-8 when they are that, else as windows-1252."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def decode(data: bytes, charset: str) -> str:
    """Read bytes in the named charset; an unknown name means a guess, a byte outside it U+FFFD."""
    codec = _CODECS.get(charset.strip().lower().replace("-", "_").replace(" ", "_"), "")
    if not codec:
        return guess(data)
    try:
        return data.decode(codec, "replace")
    except (LookupError, ValueError):
        return guess(data)
