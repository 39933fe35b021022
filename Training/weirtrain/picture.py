"""Line charts as SVG, readable on light and on dark pages."""

from __future__ import annotations

import html

COLOURS = [("#1d4ed8", "#93b4ff"), ("#c2410c", "#fdba74"), ("#15803d", "#86efac"), ("#7e22ce", "#d8b4fe"),
           ("#a16207", "#fde047"), ("#be185d", "#f9a8d4"), ("#0e7490", "#67e8f9"), ("#475569", "#cbd5e1")]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 420, 64, 190, 44, 52


def style(lines):
    light = "".join(f".l{i}{{stroke:{COLOURS[i % 8][0]}}} .f{i}{{fill:{COLOURS[i % 8][0]}}}" for i in range(lines))
    dark = "".join(f".l{i}{{stroke:{COLOURS[i % 8][1]}}} .f{i}{{fill:{COLOURS[i % 8][1]}}}" for i in range(lines))
    return ("<style>:root{color-scheme:light dark} text{fill:#333} .axis{stroke:#888} .grid{stroke:#ddd} "
            f"polyline{{fill:none;stroke-width:2}} .dashed{{stroke-dasharray:5 4;stroke-width:1.2}} {light} "
            f"@media (prefers-color-scheme:dark){{text{{fill:#ddd}} .grid{{stroke:#444}} {dark}}}</style>")


def line_chart(path, title, x_label, y_label, places, lines):
    """Draws shares (0 to 1) over named places.

    places: (label, place from 0 to 1) of the x axis. lines: (name, values, dashed); a value may be None."""
    x = lambda i: LEFT + (WIDTH - LEFT - RIGHT) * places[i][1]
    y = lambda share: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             f'font-size="12" role="img" aria-label="{html.escape(title)}">', style(len(lines)),
             f'<text x="{LEFT}" y="22" font-size="14">{html.escape(title)}</text>']
    for part in range(6):
        height = y(part / 5)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{height:.1f}" x2="{WIDTH - RIGHT}" y2="{height:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{part * 20} %</text>')
    parts.append(f'<line class="axis" x1="{LEFT}" y1="{y(0):.1f}" x2="{WIDTH - RIGHT}" y2="{y(0):.1f}"/>')
    for i, (label, _) in enumerate(places):
        parts.append(f'<text x="{x(i):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{html.escape(label)}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">'
                 f"{html.escape(x_label)}</text>")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(16 {middle}) rotate(-90)" text-anchor="middle">{html.escape(y_label)}</text>')
    for number, (name, values, dashed) in enumerate(lines):
        known = [(i, v) for i, v in enumerate(values) if v is not None]
        points = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in known)
        parts.append(f'<polyline class="l{number}{" dashed" if dashed else ""}" points="{points}"/>')
        if not dashed:
            parts += [f'<circle class="f{number}" cx="{x(i):.1f}" cy="{y(v):.1f}" r="3"/>' for i, v in known]
        row = TOP + 10 + 20 * number
        parts.append(f'<line class="l{number}{" dashed" if dashed else ""}" stroke-width="2" x1="{WIDTH - RIGHT + 14}" '
                     f'y1="{row}" x2="{WIDTH - RIGHT + 40}" y2="{row}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 46}" y="{row + 4}">{html.escape(name)}</text>')
    with open(path, "w") as file:
        file.write("\n".join(parts + ["</svg>"]) + "\n")
