"""The rules of a bucket, and the command that writes them."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from avacast.cli import app

FOREIGN = {
    "ID": "somebody's",
    "Status": "Enabled",
    "Filter": {"Prefix": "other/"},
    "Expiration": {"Days": 7},
}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-that-nobody-may-see")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("COLUMNS", "200")


def run(*options: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["store", "init", *options])
    return result.exit_code, result.output


@pytest.mark.slow
def test_a_bucket_gets_its_rules_once_and_keeps_those_of_others() -> None:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        client.put_bucket_lifecycle_configuration(
            Bucket="bucket", LifecycleConfiguration={"Rules": [FOREIGN]}
        )

        def rules() -> dict[str, dict[str, object]]:
            found = client.get_bucket_lifecycle_configuration(Bucket="bucket")["Rules"]
            return {rule["ID"]: rule for rule in found}

        code, said = run("--store", "s3://bucket/live/here?region=us-east-1", "--versions")
        assert code == 0 and "so it was" not in said, said
        first = rules()
        assert first["somebody's"] == FOREIGN
        cold = first["avacast-cold-live-here"]
        assert cold["Filter"] == {"Prefix": "live/here/recordings/"}
        assert cold["Transitions"] == [{"Days": 90, "StorageClass": "GLACIER_IR"}]
        left = first["avacast-left-over-live-here"]
        assert left["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
        assert client.get_bucket_versioning(Bucket="bucket")["Status"] == "Enabled"
        code, said = run("--store", "s3://bucket/live/here?region=us-east-1", "--versions")
        assert code == 0 and said.count("so it was") == 2 and rules() == first
        # Another prefix of the same bucket, and other days for the first.
        assert run("--store", "s3://bucket?region=us-east-1", "--cold-class", "GLACIER")[0] == 0
        code, said = run("--store", "s3://bucket/live/here?region=us-east-1", "--cold-days", "30")
        assert code == 0 and len(rules()) == 5
        assert rules()["avacast-cold-live-here"]["Transitions"] == [
            {"Days": 30, "StorageClass": "GLACIER_IR"}
        ]
        assert "Contents" not in client.list_objects_v2(Bucket="bucket"), "the probe is gone"


def test_what_cannot_be_is_said(tmp_path: Path) -> None:
    with mock_aws():
        code, said = run("--store", "s3://nobody-s-bucket/p?region=us-east-1")
        assert code == 1 and "NoSuchBucket" in said
    assert run("--store", (tmp_path / "new").as_uri()) == (
        0,
        "✓ objects can be put, listed, read and deleted\n"
        "  a folder has no rules: old recordings stay until they are deleted\n",
    )
    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]
    (tmp_path / "file").write_text("")
    code, said = run("--store", (tmp_path / "file").as_uri())
    assert code == 1 and "cannot be written" in said
    code, said = run("--store", "ftp://x")
    assert code == 1 and "a store is file:///folder" in said
    code, said = run()
    assert code == 1 and "no store is named" in said
