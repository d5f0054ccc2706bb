"""The versions a run was made with."""

from importlib.metadata import PackageNotFoundError, version

LIBRARIES = ("finetui", "torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "accelerate")


def library_versions() -> dict[str, str]:
    """Installed versions by package name; those that are not installed are left out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
