"""Map the top-level folders below one import name; the package list follows the tree."""

from setuptools import find_packages, setup

FOLDERS = ("hw", "sim", "host", "models", "quant")

setup(
    package_dir={f"terntable.{folder}": folder for folder in FOLDERS},
    packages=[f"terntable.{folder}{suffix}" for folder in FOLDERS
              for suffix in ("", *(f".{name}" for name in find_packages(folder)))],
)
