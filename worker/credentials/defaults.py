"""What job requests get that they do not say, from the settings and the selected profile.

The region must be known when a request is taken in: a pool with its region named and the same
pool without would be two pools to the one-writer rule.
"""

from functools import cache

from config.settings import Settings
from jobs.errors import ConfigError
from jobs.requests.defaults import Defaults
from worker.credentials.chain import choose
from worker.credentials.sources import Surroundings


def region_of(settings: Settings, around: Surroundings, profile: str | None = None) -> str | None:
    """Return the region of a profile's jobs that name none; without a name, the selected one's.

    The profile's own goes first, then ``cloud.region``, then the one beside the credential,
    such as ``HW_REGION_NAME``.  None where nothing tells, or there is no such profile here.
    """
    if profile is not None and profile not in settings.profiles:
        return None
    region = settings.cloud_of(profile).region
    if region is not None:
        return region
    try:
        return choose(settings, around, profile).found.region
    except ConfigError:
        return None  # who only takes requests in needs no credential


def request_defaults(settings: Settings, around: Surroundings) -> Defaults:
    """Return what every door fills in: the command line, HTTP and brokers alike."""

    @cache
    def region(profile: str | None) -> str | None:
        return region_of(settings, around, profile)

    return Defaults(profile=settings.cloud.profile, region_of=region)
