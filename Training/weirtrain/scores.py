"""Counts of right answers: intervals, bins of numeric tags, tables. The JSON has the form of `weir eval`."""

from __future__ import annotations

import math

BINNED = ("context_tokens", "fact_distance")
LEFT_OUT = ("set", "chance", "fact_depth")
PLAIN_VALUES = 12


def interval(right, count, z=1.96):
    """Wilson's interval of a share."""
    if count == 0:
        return 0.0, 1.0
    share = right / count
    centre = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, (centre - spread) / (1 + z * z / count)), min(1.0, (centre + spread) / (1 + z * z / count))


def score(results):
    """The score of a list of booleans."""
    right, count = sum(map(bool, results)), len(results)
    low, high = interval(right, count)
    return dict(share=right / max(1, count), correct=right, count=count, low=low, high=high)


def bin_of(value):
    """(order, label) of a whole number's bin; bins end at the powers of two."""
    whole = max(0, round(value))
    if whole == 0:
        return 0, "0"
    exponent = (whole - 1).bit_length()
    low, high = (1 if exponent == 0 else (1 << (exponent - 1)) + 1), 1 << exponent
    return exponent + 1, str(low) if low == high else f"{low}-{high}"


def by_tag(pairs):
    """Scores by tag and value of (tags, right) pairs; numbers with many values are put into bins."""
    keys = list(dict.fromkeys(key for tags, _ in pairs for key in tags if key not in LEFT_OUT))
    found = {}
    for key in keys:
        mine = [(tags[key], right) for tags, right in pairs if tags.get(key) is not None]
        numbers = {v for v, _ in mine if isinstance(v, (int, float)) and not isinstance(v, bool)}
        binned = key in BINNED or len(numbers) > PLAIN_VALUES
        groups = {}
        for value, right in mine:
            label = (math.inf, str(value).lower()) if isinstance(value, (str, bool)) else (value, f"{value:g}")
            if binned and label[0] != math.inf:
                label = bin_of(value)
            groups.setdefault(label, []).append(right)
        if groups:
            found[key] = {label[1]: score(groups[label]) for label in sorted(groups)}
    return found


def mean_chance(items):
    """The mean of tags.chance, None if no item has it."""
    chances = [i["tags"]["chance"] for i in items if i["tags"].get("chance") is not None]
    return sum(chances) / len(chances) if chances else None


def percent(share):
    return "-" if share is None else f"{100 * share:.1f} %"


def shown(one):
    """A score as text with its count."""
    return "-" if one is None else f"{100 * one['share']:.1f} % ({one['correct']}/{one['count']})"


def markdown(rows):
    """A Markdown table whose first row is the heading."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return "\n".join(lines)
