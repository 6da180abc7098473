"""Auto Scaling groups of AWS: told their desired capacity, within their own limits. boto3 is loaded by who has groups."""

from __future__ import annotations

from typing import Any

_CALL_S = 5


class GroupsDown(Exception):
    """A group cannot be read or told; the text says which and why."""


class Groups:
    """Groups by region and name. Credentials come from where AWS tools look for them. Blocking: called in a thread."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}

    def want(self, region: str, group: str, nodes: int) -> int:
        """Tells the group, unless it has that already; what it was told, within its own minimum and maximum. Raises GroupsDown."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            client = self._client(region)
            found = client.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]
            if not found:
                raise GroupsDown(f"there is no Auto Scaling group {group!r} in {region}")
            wanted = min(int(found[0]["MaxSize"]), max(int(found[0]["MinSize"]), nodes))
            if int(found[0]["DesiredCapacity"]) != wanted:
                client.set_desired_capacity(
                    AutoScalingGroupName=group, DesiredCapacity=wanted, HonorCooldown=False
                )
            return wanted
        except (BotoCoreError, ClientError, ValueError) as error:
            raise GroupsDown(f"Auto Scaling group {group!r} in {region}: {error}") from error

    def _client(self, region: str) -> Any:
        if region not in self._clients:
            import boto3
            from botocore.config import Config

            settings = Config(
                connect_timeout=_CALL_S, read_timeout=_CALL_S, retries={"max_attempts": 2, "mode": "standard"}
            )
            self._clients[region] = boto3.client("autoscaling", region_name=region, config=settings)
        return self._clients[region]
