"""What an address names now, found with the credentials that fit. Caller: transfers.

obstore costs 5 MiB and aiohttp time, so what uses them is imported when it is asked for.
"""
# ruff: noqa: PLC0415

import asyncio

from shoal.storage import authorities, claims, credentials
from shoal.storage.buckets import Bucket, Found
from shoal.storage.credentials import Credentials
from shoal.storage.limits import Limits
from shoal.storage.sessions import Sessions
from shoal.storage.uris import Location, Scheme


async def find(
    location: Location, known: Credentials, sessions: Sessions, limits: Limits
) -> Found:
    """Look an address up.

    Raises:
        FetchError: nothing is there, too much, or it cannot be asked.
    """
    if location.scheme is Scheme.PVC:
        mounted = claims.root(location, known.environ.get("SHOAL_CLAIM_DIR", ""))
        return await asyncio.to_thread(claims.find, mounted, location, limits)
    if location.scheme is Scheme.HF:
        from shoal.storage import hubs

        options = credentials.huggingface(known)
        hint = credentials.hint(known, options.origin, "HF_TOKEN")
        trusted = authorities.read(known.environ)
        hub = hubs.Hub(sessions.get(), location, options, hint, trusted)
        return await hubs.find(hub, limits)
    if location.is_share:
        from shoal.storage import azureshares

        azure = credentials.azure(known)
        hint = credentials.hint(known, azure.origin)
        trusted = authorities.read(known.environ)
        share = azureshares.make(sessions.get(), location, azure, trusted, hint)
        return await azureshares.find(share, limits)
    from shoal.storage import objectstores

    return await objectstores.find(_bucket(location, known, sessions), location, limits)


def _bucket(location: Location, known: Credentials, sessions: Sessions) -> Bucket:
    trusted = authorities.read(known.environ)
    if location.scheme is Scheme.GS:
        from shoal.storage import gcsbuckets

        gcs = credentials.gcs(known)
        return gcsbuckets.make(location, gcs, trusted, credentials.hint(known, gcs.origin))
    if location.scheme is Scheme.AZ:
        from shoal.storage import azurecontainers

        azure = credentials.azure(known)
        hint = credentials.hint(known, azure.origin)
        return azurecontainers.make(location, azure, trusted, hint)
    from shoal.storage import s3buckets

    s3 = credentials.s3(known)
    hint = credentials.hint(known, s3.origin)
    return s3buckets.make(location, s3, sessions, trusted, hint)
