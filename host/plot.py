"""A plot of points and lines as SVG text, without a plotting library."""

import math
from collections.abc import Callable, Sequence
from html import escape

__all__ = ["scatter"]

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 720, 440, 70, 20, 50, 40

Line = tuple[Sequence[tuple[float, float]], str]


def scatter(points: Sequence[tuple[float, float, str]], *, title: str, x: str, y: str, lines: Sequence[Line] = (),
            log: bool = False, labels: bool = False) -> str:
    """SVG of points (x, y, label), at least one, and of lines through (x, y), each with a label.

    Axes start at 0; with `log` both are logarithmic, over whole powers of ten, and every number must be above 0. Labels of points
    show when one points at them, with `labels` always.
    """
    if not points:
        raise ValueError("A plot needs at least one point")
    known = [(a, b) for a, b, _ in points] + [point for line, _ in lines for point in line]
    if log and min(min(point) for point in known) <= 0:
        raise ValueError("A logarithmic plot needs numbers above 0")
    scale_x, ticks_x = _axis([a for a, _ in known], log, LEFT, WIDTH - RIGHT)
    scale_y, ticks_y = _axis([b for _, b in known], log, HEIGHT - BOTTOM, TOP)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
           f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
           f'<text x="{WIDTH / 2}" y="20" text-anchor="middle" font-size="14">{escape(title)}</text>',
           f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(x)}</text>',
           f'<text x="14" y="{HEIGHT / 2}" transform="rotate(-90 14 {HEIGHT / 2})" text-anchor="middle">{escape(y)}</text>']
    for tick in ticks_y:
        at = scale_y(tick)
        out += [f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>',
                f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:.4g}</text>']
    for tick in ticks_x:
        at = scale_x(tick)
        out += [f'<path d="M{at:.1f} {HEIGHT - BOTTOM}V{TOP}" stroke="#ddd"/>',
                f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:.4g}</text>']
    for line, label in lines:
        path = "L".join(f"{scale_x(a):.1f} {scale_y(b):.1f}" for a, b in line)
        px, py = scale_x(line[-1][0]), scale_y(line[-1][1])
        out += [f'<path d="M{path}" stroke="#b2441f" fill="none"/>',
                f'<text x="{px:.1f}" y="{py - 5:.1f}" text-anchor="end" fill="#b2441f">{escape(label)}</text>']
    for a, b, label in points:
        px, py = scale_x(a), scale_y(b)
        out.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="#1f6fb2" fill-opacity="0.6"><title>{escape(label)}: '
                   f'{a:.4g}, {b:.4g}</title></circle>')
        if labels:
            # On the side where there is more room.
            at, anchor = (px + 7, "start") if px < WIDTH / 2 else (px - 7, "end")
            out.append(f'<text x="{at:.1f}" y="{py + 4:.1f}" text-anchor="{anchor}">{escape(label)}</text>')
    return "\n".join([*out, "</svg>", ""])


def _axis(values: Sequence[float], log: bool, start: float, end: float) -> tuple[Callable[[float], float], list[float]]:
    """From a number to its place, and the numbers that have a tick."""
    if log:
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        high = max(high, low + 1)
        return (lambda value: start + (end - start) * (math.log10(value) - low) / (high - low),
                [10.0**power for power in range(low, high + 1)])
    most = max(values) * 1.08 or 1.0
    return lambda value: start + (end - start) * value / most, [most * step / 5 for step in range(6)]
