"""What a bucket does by itself with recordings: rules of S3's lifecycle. Ours have names of ours; all others stay as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from common.store.s3 import S3
from common.store.store import StoreError

Rule = dict[str, Any]
ColdClass = Literal[
    "GLACIER_IR", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER", "DEEP_ARCHIVE"
]
READABLE = ("GLACIER_IR", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING")
"""Classes whose objects can be read at once; what is in the others must be restored first."""
_UPLOAD_DAYS = 2
_VERSION_DAYS = 30
_NONE_YET = {"NoSuchLifecycleConfiguration", "404"}


def rules(prefix: str, cold_days: int, cold_class: str) -> list[Rule]:
    """Ours, for the objects below `prefix` ("" or a name that ends with a slash)."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", prefix).strip("-") or "all"
    return [
        {
            "ID": f"avacast-cold-{name}",
            "Status": "Enabled",
            "Filter": {"Prefix": f"{prefix}recordings/"},
            "Transitions": [{"Days": cold_days, "StorageClass": cold_class}],
        },
        {
            "ID": f"avacast-left-over-{name}",
            "Status": "Enabled",
            "Filter": {"Prefix": prefix},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UPLOAD_DAYS},
            "NoncurrentVersionExpiration": {"NoncurrentDays": _VERSION_DAYS},
        },
    ]


def merged(existing: Sequence[Rule], ours: Sequence[Rule]) -> list[Rule]:
    """All rules of a bucket: those of others first, unchanged and in their order."""
    names = {rule["ID"] for rule in ours}
    return [*(rule for rule in existing if rule.get("ID") not in names), *ours]


def write(store: S3, cold_days: int, cold_class: str) -> bool:
    """Gives the bucket our rules; False when it has them. Raises StoreError."""
    ours = rules(store.prefix, cold_days, cold_class)
    try:
        existing = _read(store)
        wanted = merged(existing, ours)
        if sorted(map(_essence, existing)) == sorted(map(_essence, wanted)):
            return False
        store.client.put_bucket_lifecycle_configuration(
            Bucket=store.bucket, LifecycleConfiguration={"Rules": wanted}
        )
    except (ClientError, BotoCoreError) as error:
        raise StoreError(f"the rules of bucket {store.bucket!r} cannot be written: {_said(error)}") from None
    return True


def keep_versions(store: S3) -> bool:
    """Lets the bucket keep what is overwritten or deleted, for 30 days, which replication needs too; False when it does. Raises
    StoreError."""
    try:
        if store.client.get_bucket_versioning(Bucket=store.bucket).get("Status") == "Enabled":
            return False
        store.client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    except (ClientError, BotoCoreError) as error:
        raise StoreError(f"versions of bucket {store.bucket!r} cannot be kept: {_said(error)}") from None
    return True


def _read(store: S3) -> list[Rule]:
    try:
        answer = store.client.get_bucket_lifecycle_configuration(Bucket=store.bucket)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _NONE_YET:
            return []
        raise
    return list(answer.get("Rules", ()))


def _essence(rule: Rule) -> str:
    return repr(sorted(rule.items(), key=lambda row: row[0]))


def _said(error: Exception) -> str:
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        return f"{said.get('Code')}: {str(said.get('Message', ''))[:200]}"
    return type(error).__name__
