"""The job request: how it is written, what is wrong with it, and when two are the same."""

from jobs.requests.body import Closed, JobRequestBody, PluginBody
from jobs.requests.defaults import NO_DEFAULTS, Defaults
from jobs.requests.explaining import RAW_KEY
from jobs.requests.identity import canonical, fingerprint, natural_key
from jobs.requests.parsing import PROBLEM_KEY, parse_request
from jobs.requests.problems import Problem, did_you_mean, problems_of, quoted, refusal

__all__ = [
    "NO_DEFAULTS",
    "PROBLEM_KEY",
    "RAW_KEY",
    "Closed",
    "Defaults",
    "JobRequestBody",
    "PluginBody",
    "Problem",
    "canonical",
    "did_you_mean",
    "fingerprint",
    "natural_key",
    "parse_request",
    "problems_of",
    "quoted",
    "refusal",
]
