"""Endpoints that are set for the official SDK: its variables and its ``regions.yaml``.

    HUAWEICLOUD_SDK_REGION_MODELARTS_CN_NORTH_4=https://modelarts.example.com

    MODELARTS:                              # ~/.huaweicloud/regions.yaml, or the file that
      - id: cn-north-4                      # HUAWEICLOUD_SDK_REGIONS_FILE names
        endpoint: https://modelarts.example.com

They are the weakest source of ``cloud.endpoints``, and count only where ``cloud.endpoint`` is
not set.  As in the SDK a variable wins over the file, and an address without a scheme is
https.  Where several addresses are given, the first is used: a request is sent to one place,
whatever becomes of it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from config.sources import FILE_LIMIT_BYTES, Given, Layer

SERVICE: Final = "MODELARTS"
PREFIX: Final = f"HUAWEICLOUD_SDK_REGION_{SERVICE}_"
FILE_VARIABLE: Final = "HUAWEICLOUD_SDK_REGIONS_FILE"


def sdk_layer(environ: Mapping[str, str]) -> Layer:
    """Return the endpoints that the SDK would use, as ``cloud.endpoints``."""
    layer = Layer()
    path = regions_file(environ)
    if path is not None:
        _read_file(layer, path)
    for variable, text in sorted(environ.items()):
        region = variable.removeprefix(PREFIX).replace("_", "-").lower()
        address = next((one.strip() for one in text.split(",") if one.strip()), None)
        if variable.startswith(PREFIX) and region and address is not None:
            _give(layer, region, address, variable)
    return layer


def regions_file(environ: Mapping[str, str]) -> Path | None:
    """Return the file that the SDK reads; None where there is no home folder."""
    named, home = environ.get(FILE_VARIABLE), environ.get("HOME")
    if named:
        return Path(named)
    return Path(home) / ".huaweicloud" / "regions.yaml" if home else None


def _give(layer: Layer, region: str, address: str, origin: str) -> None:
    whole = address if "://" in address else f"https://{address}"
    layer.given["cloud", "endpoints", region] = Given(whole, origin)


def _read_file(layer: Layer, path: Path) -> None:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return  # the SDK minds no missing file either, named or not
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        layer.problems.append(f"{path}: cannot read it: {reason}")
        return
    if len(content) > FILE_LIMIT_BYTES:
        layer.problems.append(f"{path}: more than 1 MiB; this is no regions file")
        return
    from config.regions_file import NotRegionsError, entries_of  # noqa: PLC0415 - YAML only where there is some

    try:
        for entry in entries_of(content, SERVICE):
            _give(layer, entry.region, entry.address, f"{path}:{entry.line}")
    except NotRegionsError as error:
        place = path if error.line is None else f"{path}:{error.line}"
        layer.problems.append(f"{place}: {error}")
