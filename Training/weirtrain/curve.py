"""The loss curve as an SVG picture, from the log of a run."""

import html


def write_curve(path, log, title):
    """log: list of dicts with tokens, loss, answers (accuracy), stage."""
    if len(log) < 2:
        return
    width, height, left, bottom = 860, 380, 60, 40
    tokens = [entry["tokens"] / 1e6 for entry in log]
    top_loss = max(entry["loss"] for entry in log)
    span = max(tokens[-1], 1e-9)
    x = lambda value: left + (width - 2 * left) * value / span
    y = lambda share: height - bottom - (height - 2 * bottom) * share
    loss = " ".join(f"{x(t):.1f},{y(e['loss'] / top_loss):.1f}" for t, e in zip(tokens, log))
    right = " ".join(f"{x(t):.1f},{y(e['answers']):.1f}" for t, e in zip(tokens, log))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        "<style>:root{color-scheme:light dark} text{fill:#333} .axis{stroke:#888} .loss{stroke:#c2410c} "
        ".answers{stroke:#1d4ed8} .stage{stroke:#bbb;stroke-dasharray:3 3} "
        "@media (prefers-color-scheme: dark){text{fill:#ddd}}</style>",
        f'<text x="{left}" y="20">{html.escape(title)}</text>',
        f'<line class="axis" x1="{left}" y1="{y(0):.1f}" x2="{width - left}" y2="{y(0):.1f}"/>',
        f'<line class="axis" x1="{left}" y1="{y(0):.1f}" x2="{left}" y2="{y(1):.1f}"/>',
    ]
    before = None
    for t, entry in zip(tokens, log):
        if entry["stage"] != before:
            before = entry["stage"]
            parts.append(f'<line class="stage" x1="{x(t):.1f}" y1="{y(0):.1f}" x2="{x(t):.1f}" y2="{y(1):.1f}"/>')
            parts.append(f'<text x="{x(t) + 3:.1f}" y="{y(1) - 4:.1f}" font-size="9">{html.escape(before)}</text>')
    for part in range(6):
        share = part / 5
        parts.append(f'<text x="{left - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{top_loss * share:.1f}</text>')
        parts.append(f'<text x="{width - left + 8}" y="{y(share) + 4:.1f}">{share:.0%}</text>')
        parts.append(f'<text x="{x(span * share):.1f}" y="{height - 18}" text-anchor="middle">{span * share:.1f}</text>')
    parts += [
        f'<polyline class="loss" fill="none" stroke-width="1.5" points="{loss}"/>',
        f'<polyline class="answers" fill="none" stroke-width="1.5" points="{right}"/>',
        f'<text x="{width // 2}" y="{height - 4}" text-anchor="middle">million tokens</text>',
        f'<text x="{left + 8}" y="{y(0.94):.1f}" style="fill:#c2410c">loss (left)</text>',
        f'<text x="{width - left - 8}" y="{y(0.06):.1f}" text-anchor="end" style="fill:#1d4ed8">'
        "answer tokens right (right)</text>",
        "</svg>",
    ]
    with open(path, "w") as file:
        file.write("\n".join(parts) + "\n")
