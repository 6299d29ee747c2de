"""How many of an institution's cards may turn bad at once before it looks as if something else were broken.

Cards end by the year, so that of those asked about in two days some 2 to 3 in 100 are no longer good; at the end of a
school year more. A system that has lost its data, or a list that was cut off, says it of most or all of them.
"""

# To be unusual, both the number and the share of the first pair must be passed, or both of the second: what ordinary
# bad luck does among many, and among few. Three bad ones of three happen once in some 1,000 times by chance; a
# system that is broken says it of all.
_MANY, _PERCENT = 10, 10
_FEW, _PERCENT_OF_FEW = 3, 75
# A list of cards that is shorter than the one before by so many lines, and by more than _PERCENT.
_LINES = 50


def is_unusual(*, bad: int, of: int) -> bool:
    """Whether so many bad ones among so many are more than happens by itself."""
    many = bad >= _MANY and bad * 100 > of * _PERCENT
    return many or (bad >= _FEW and bad * 100 > of * _PERCENT_OF_FEW)


def has_shrunk(*, before: int, after: int) -> bool:
    gone = before - after
    return gone >= _LINES and gone * 100 > before * _PERCENT
