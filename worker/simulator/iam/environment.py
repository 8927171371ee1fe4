"""What to export so that a client finds the simulator and may ask."""

from worker.simulator.iam.directory import Directory
from worker.simulator.options import SimulatorOptions


def environment(url: str, options: SimulatorOptions, directory: Directory) -> dict[str, str]:
    """Return the variables that point a client at *url* with a credential it takes.

    The secrets in it are the simulator's own; they follow from its seed and open nothing
    else.
    """
    ours = {"PLUGWAVE_CLOUD__ENDPOINT": url}
    if options.auth == "none":
        return {**ours, "PLUGWAVE_CLOUD__AUTH": "none"}
    ours["HUAWEICLOUD_SDK_IAM_ENDPOINT"] = url
    if options.auth != "token" and directory.keys:
        key = directory.keys[0]
        return {
            **ours,
            "PLUGWAVE_CLOUD__AUTH": "aksk",
            "HUAWEICLOUD_SDK_AK": key.access,
            "HUAWEICLOUD_SDK_SK": key.secret,
        }
    if options.auth != "aksk" and directory.users:
        user = directory.users[0]
        return {
            **ours,
            "PLUGWAVE_CLOUD__AUTH": "auto",
            "HW_AUTH_URL": f"{url}/v3",
            "HW_USER_NAME": user.name,
            "HW_USER_PASSWORD": user.password,
            "HW_DOMAIN_NAME": user.account.name,
            "HW_PROJECT_NAME": options.region,
            "HW_REGION_NAME": options.region,
        }
    return {**ours, "PLUGWAVE_CLOUD__AUTH": "auto"}
