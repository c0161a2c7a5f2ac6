"""Addresses of object stores and the obstore clients for them: S3, Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from scfx.errors import InputError
from scfx.jobs.store import inside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obstore.store import AzureStore, GCSStore, S3Store

#: What may follow the '?' of an address.
_QUERY = {
    "s3": ("endpoint_url", "region_name"),
    "gs": ("endpoint_url",),
    "az": ("endpoint_url", "account_name"),
}
SCHEMES = tuple(_QUERY)

#: What obstore repeats by itself: errors of the server, connections that were cut, and reads that timed out.
RETRIES: dict[str, Any] = {"max_retries": 8, "retry_timeout": timedelta(minutes=5)}

#: Time limits. The one of reading begins anew with each piece of an answer; all of them count the sending of a body.
QUICK = {"read_timeout": timedelta(seconds=60), "timeout": timedelta(hours=1)}
PATIENT = {"timeout": timedelta(minutes=10)}

_S3_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_S3_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True)
class Address:
    """An address `scheme://bucket/prefix?key=value`, in parts. In Azure's words the bucket is a container."""

    scheme: str
    bucket: str
    prefix: str
    options: dict[str, str]

    @classmethod
    def read(cls, url: str) -> Address:
        """Read an address; raises `InputError` for what is none."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        known = _QUERY[parts.scheme]
        unknown = sorted(options.keys() - set(known))
        # A '#' would end the name: what stands after it is not part of an address.
        if not parts.netloc or unknown or "#" in url:
            raise InputError(
                f"task.output: cannot read the address {url!r}: expected {parts.scheme}://bucket/prefix, and after a "
                f"'?' any of {', '.join(known)}"
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
                + ("; a '#' cannot be in it" if "#" in url else "")
            )
        if empty := sorted(key for key, value in options.items() if not value):
            raise InputError(f"task.output: the address {url!r} has no value after {', '.join(empty)}")
        prefix = inside(parts.path.strip("/"))
        if any(part in ("", ".") for part in prefix.split("/")) and prefix:
            raise InputError(f"task.output: the address {url!r} has an empty part between two '/'")
        return cls(parts.scheme, parts.netloc, prefix, options)


class Clients(NamedTuple):
    """Two clients of one bucket, with the limits `QUICK` and, for large bodies, `PATIENT`."""

    quick: S3Store | GCSStore | AzureStore
    patient: S3Store | GCSStore | AzureStore


def connect(address: Address) -> Clients:
    """Return clients of the bucket of an address. `InputError` if obstore is not installed. No request is made."""
    try:
        import obstore.store
    except ImportError as error:
        raise InputError(
            f'task.output: {address.scheme}:// addresses need obstore: pip install "scfx[cloud]"'
        ) from error

    make = {"s3": _s3, "gs": _gs, "az": _az}[address.scheme]
    store = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}[address.scheme]
    settings = make(address)
    endpoint = str(settings.pop("plain_http_of", "") or "")

    def client(limits: dict[str, timedelta]) -> Any:
        options: dict[str, Any] = {"connect_timeout": timedelta(seconds=10), **limits}
        if endpoint.startswith("http://"):
            options["allow_http"] = True
        return getattr(obstore.store, store)(
            address.bucket, client_options=options, retry_config=RETRIES, **settings
        )

    return Clients(quick=client(QUICK), patient=client(PATIENT))


def _s3(address: Address) -> dict[str, Any]:
    options = address.options
    profile: dict[str, Any] = {} if "AWS_ACCESS_KEY_ID" in os.environ else _profile()
    endpoint = _first_said(options.get("endpoint_url"), _S3_ENDPOINTS, profile.pop("endpoint", None))
    region = _first_said(options.get("region_name"), _S3_REGIONS, profile.pop("region", None))
    return {
        **profile,
        **({"aws_endpoint_url_s3": endpoint, "plain_http_of": endpoint} if endpoint else {}),
        **({"region": region} if region else {}),
        # One request for each: not every server knows the one for many.
        "disable_bulk_delete": True,
    }


def _first_said(in_address: str | None, variables: Sequence[str], in_profile: str | None) -> str | None:
    """Return what the address says, or else the environment, or else the profile."""
    in_environment = (os.environ[name] for name in variables if os.environ.get(name))
    return in_address or next(in_environment, in_profile)


def _profile() -> dict[str, Any]:
    """Return credentials, region and endpoint of ~/.aws, which boto3 reads; empty where there is nothing to read.

    Where the file names no credentials, obstore finds those of the machine (instance or container role) itself.
    """
    files = [
        Path(os.environ.get(variable) or Path.home() / ".aws" / name)
        for variable, name in (
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            ("AWS_CONFIG_FILE", "config"),
        )
    ]
    named = os.environ.get("AWS_PROFILE")
    if not named and not any(file.exists() for file in files):
        return {}
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        what = f"AWS_PROFILE={named}" if named else f"{next(file for file in files if file.exists())}"
        raise InputError(
            f'task.output: {what} is read by boto3, which is not installed: pip install "scfx[s3]", or set '
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    try:
        session = boto3.Session()
        endpoint = session.client("s3", region_name=session.region_name or "us-east-1").meta.endpoint_url
        found: dict[str, Any] = {"region": session.region_name}
        if "amazonaws.com" not in endpoint:
            found["endpoint"] = endpoint
        if session.get_credentials() is not None:
            found["credential_provider"] = Boto3CredentialProvider(session)
    except BotoCoreError as error:
        raise InputError(f"task.output: the profile of s3:// addresses: {error}") from error
    return found


def _gs(address: Address) -> dict[str, Any]:
    endpoint = address.options.get("endpoint_url") or os.environ.get("GOOGLE_BASE_URL")
    return {"base_url": endpoint, "plain_http_of": endpoint} if endpoint else {}


def _az(address: Address) -> dict[str, Any]:
    endpoint = address.options.get("endpoint_url") or os.environ.get("AZURE_STORAGE_ENDPOINT")
    account = address.options.get("account_name")
    return {
        **({"endpoint": endpoint, "plain_http_of": endpoint} if endpoint else {}),
        **({"account_name": account} if account else {}),
    }
