"""The operations of the WorkMail API, a file per feature."""

from importlib import import_module
from pkgutil import iter_modules


def enter_all() -> None:
    """Import every module here, each of which enters its operations in the registry."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
