"""A plot of points as SVG text, without a plotting library."""

from collections.abc import Sequence
from html import escape

__all__ = ["scatter"]

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 440, 70, 50, 40


def scatter(points: Sequence[tuple[float, float, str]], *, title: str, x: str, y: str) -> str:
    """SVG of labelled points (x, y, label), at least one, on axes that start at 0."""
    if not points:
        raise ValueError("A plot needs at least one point")
    most_x = max(point[0] for point in points) * 1.08 or 1.0
    most_y = max(point[1] for point in points) * 1.08 or 1.0

    def place(a: float, b: float) -> tuple[float, float]:
        return LEFT + (WIDTH - LEFT - 20) * a / most_x, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * b / most_y

    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
             f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{escape(title)}</text>',
             f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
             f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})" text-anchor="middle">{escape(y)}</text>']
    for step in range(6):
        at_x, at_y = most_x * step / 5, most_y * step / 5
        (px, py), (zero_x, zero_y) = place(at_x, at_y), place(0, 0)
        lines += [f'<path d="M{zero_x:.1f} {py:.1f}H{WIDTH - 20}M{px:.1f} {zero_y:.1f}V{TOP}" stroke="#ddd"/>',
                  f'<text x="{LEFT - 6}" y="{py + 4:.1f}" text-anchor="end">{at_y:.4g}</text>',
                  f'<text x="{px:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{at_x:.4g}</text>']
    for a, b, label in points:
        px, py = place(a, b)
        lines.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="#1f6fb2" fill-opacity="0.6"><title>{escape(label)}: '
                     f'{a:.4g}, {b:.4g}</title></circle>')
    return "\n".join([*lines, "</svg>", ""])
