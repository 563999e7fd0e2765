"""``SHA256SUMS`` beside a checkpoint: the only way to see a flipped bit in a weight.

The file has the format of ``sha256sum``, so ``sha256sum -c SHA256SUMS`` checks it too.
"""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath

from terntable.quant.checkpoint import CheckpointError

__all__ = ["CHECKSUMS_NAME", "verify_checksums", "write_checksums"]

CHECKSUMS_NAME = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def write_checksums(path: str | os.PathLike[str]) -> Path:
    """Write ``SHA256SUMS`` for every file directly in the directory ``path``, and return its path.

    Hidden files and documents (.md) are left out, since they may be edited. Raises :class:`CheckpointError` if
    the directory is missing, holds no file, or holds a name that the format cannot carry.
    """
    directory = Path(path)
    if not directory.is_dir():
        raise CheckpointError(f"{directory} is not a directory")
    lines = []
    for file in sorted(directory.iterdir()):
        if file.name == CHECKSUMS_NAME or file.name.startswith(".") or file.suffix == ".md" \
                or not file.is_file():
            continue
        if re.search(r"[\\\r\n]", file.name):
            raise CheckpointError(f"{directory} holds {file.name!r}, "
                                  "but a listed name may hold no line end or backslash")
        lines.append(f"{_digest(file)}  {file.name}\n")
    if not lines:
        raise CheckpointError(f"{directory} holds no file to list in {CHECKSUMS_NAME}")
    target = directory / CHECKSUMS_NAME
    # A half-written list would refuse a sound checkpoint, so it appears at once or not at all.
    partial = directory / f".{CHECKSUMS_NAME}.partial"
    partial.write_text("".join(lines), encoding="utf-8")
    partial.replace(target)
    return target


def verify_checksums(path: str | os.PathLike[str]) -> bool:
    """Check every file that ``SHA256SUMS`` in the directory ``path`` lists; False if there is no such file.

    Raises :class:`CheckpointError` for an empty list, a malformed line, a listed file that is missing, lies
    outside the directory or has another digest.
    """
    directory = Path(path)
    sums = directory / CHECKSUMS_NAME
    if not sums.exists():
        return False
    try:
        lines = sums.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{sums} cannot be read: {error}") from error
    entries = [(number, line.rstrip("\r")) for number, line in enumerate(lines, 1) if line.strip()]
    if not entries:
        raise CheckpointError(f"{sums} lists no file")
    for number, line in entries:
        match = _LINE.fullmatch(line)
        if match is None:
            raise CheckpointError(f"{sums} line {number} is {line[:100]!r}, but must be 64 hex digits, "
                                  "two spaces and a file name")
        _verify_file(sums, match[2], match[1].lower())
    return True


def _verify_file(sums: Path, name: str, expected: str) -> None:
    listed = PurePosixPath(name)
    if listed.is_absolute() or ".." in listed.parts:
        raise CheckpointError(f"{sums} lists {name!r}, but a listed file must lie inside the directory")
    file = sums.parent / listed
    if not file.is_file():
        raise CheckpointError(f"{file} is missing, but {sums.name} lists it")
    found = _digest(file)
    if found != expected:
        raise CheckpointError(f"{file} has SHA-256 {found}, but {sums.name} says {expected}")


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error
    return digest.hexdigest()
