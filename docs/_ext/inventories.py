"""Finds out which documentation of other packages can be linked to: that which can be reached.

A build without a network has fewer links, and says so; it does not fail.
"""

from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

SECONDS = 5


def reachable(folder: Path, addresses: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Fetch the inventory of each package, and return the mapping of those that were found.

    An inventory of an earlier build, in the same folder, is used if there is no network now.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mapping, missing = {}, []
    for name, address in addresses.items():
        file = folder / f"{name}.inv"
        try:
            with urlopen(f"{address}objects.inv", timeout=SECONDS) as answer:
                file.write_bytes(answer.read())
        except (URLError, OSError):
            if not file.exists():
                missing.append(name)
                continue
        mapping[name] = (address, str(file))
    if missing:
        print("no links to the documentation of", ", ".join(missing) + ": it cannot be reached")
    return mapping
