"""What a process is told from outside: the one reader of the environment's words.

`__main__` passes `os.environ` in; everything else receives a frozen object.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shoal import names

_TOKEN_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path


class SettingsError(ValueError):
    """Which variable is missing or wrong."""


@dataclass(frozen=True, slots=True)
class DownloadSettings:
    """How much a download may be, and how long it may take. Durations are seconds."""

    max_files: int
    max_bytes: int
    stall_seconds: float
    seconds: float
    archive_ratio: float

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> "DownloadSettings":
        """Read the variables.

        Raises:
            SettingsError: it names the variable.
        """
        return cls(
            max_files=int(_number(environ, "SHOAL_FETCH_MAX_FILES", 100_000)),
            max_bytes=int(_number(environ, "SHOAL_FETCH_MAX_BYTES", 2**40)),
            stall_seconds=_number(environ, "SHOAL_FETCH_STALL_SECONDS", 60),
            seconds=_number(environ, "SHOAL_FETCH_SECONDS", 6 * 3600),
            archive_ratio=_number(environ, "SHOAL_ARCHIVE_RATIO", 100),
        )


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """What one `shoal fetch` goes by. Durations are seconds.

    Without a namespace it runs outside of a cluster: the environment alone has credentials.
    """

    namespace: str
    service_account: str
    storage_secret: str
    storage_spec: str  # `storagespecs.StorageSpec`, encoded; empty: none
    artifact_digest: str  # what the one model must have; empty: whatever it has
    cache_dir: str  # of models that pods share; empty: none
    cache_name: str  # what messages call it
    api_url: str
    token_dir: str
    termination_log: str  # where the kubelet reads why a container ended
    patience_seconds: float  # for a store that fails, since the last byte that came
    downloads: DownloadSettings
    environ: Mapping[str, str] = field(repr=False)  # may hold credentials

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> "FetchSettings":
        """Read the variables.

        Raises:
            SettingsError: it names the variable.
        """
        return cls(
            namespace=environ.get("SHOAL_NAMESPACE", ""),
            service_account=environ.get("SHOAL_SERVICE_ACCOUNT", "") or "default",
            storage_secret=environ.get("SHOAL_STORAGE_SECRET", ""),
            storage_spec=environ.get("SHOAL_STORAGE_SPEC", ""),
            artifact_digest=environ.get("SHOAL_ARTIFACT_DIGEST", ""),
            cache_dir=(cache_dir := environ.get("SHOAL_MODEL_CACHE", "")),
            cache_name=environ.get("SHOAL_MODEL_CACHE_NAME", "") or cache_dir,
            api_url=_api_url(environ),
            token_dir=environ.get("SHOAL_TOKEN_DIR", _TOKEN_DIR),
            termination_log=environ.get("SHOAL_TERMINATION_LOG", "/dev/termination-log"),
            patience_seconds=_number(environ, "SHOAL_FETCH_PATIENCE_SECONDS", 60),
            downloads=DownloadSettings.parse(environ),
            environ=dict(environ),
        )


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What one agent works on. Durations are seconds."""

    namespace: str
    pod_name: str
    inference_service: str
    service_account: str
    storage_secret: str
    config_dir: str
    model_dir: str
    store_dir: str
    store_bytes: int  # 0: as many as the disk has
    server_url: str
    admin_host: str
    admin_port: int
    api_url: str
    token_dir: str
    silence_seconds: float  # a watch on which nothing comes for so long is opened anew
    server_check_seconds: float
    first_set_seconds: float
    load_seconds: float
    load_patience_seconds: float
    fetch_concurrency: int
    downloads: DownloadSettings
    load_concurrency: int
    log_level: str
    environ: Mapping[str, str] = field(repr=False)  # may hold credentials

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> "AgentSettings":
        """Read the variables.

        Raises:
            SettingsError: it names the variable.
        """
        service = _required(environ, "SHOAL_INFERENCE_SERVICE")
        return cls(
            namespace=_required(environ, "SHOAL_NAMESPACE"),
            pod_name=environ.get("SHOAL_POD_NAME", ""),
            inference_service=service,
            service_account=environ.get("SHOAL_SERVICE_ACCOUNT", "") or "default",
            storage_secret=environ.get("SHOAL_STORAGE_SECRET", ""),
            config_dir=environ.get("SHOAL_CONFIG_DIR", names.MODEL_CONFIG_DIR),
            model_dir=environ.get("SHOAL_MODEL_DIR", names.MODEL_DIR),
            store_dir=environ.get("SHOAL_STORE_DIR", names.MODEL_STORE_DIR),
            store_bytes=int(_number(environ, "SHOAL_STORE_BYTES", 0, least=0)),
            server_url=environ.get("SHOAL_SERVER_URL", "http://127.0.0.1:8080").rstrip("/"),
            admin_host=environ.get("SHOAL_ADMIN_HOST", "0.0.0.0"),  # noqa: S104 - probes come in
            admin_port=int(_number(environ, "SHOAL_ADMIN_PORT", names.AGENT_ADMIN_PORT)),
            api_url=_api_url(environ),
            token_dir=environ.get("SHOAL_TOKEN_DIR", _TOKEN_DIR),
            silence_seconds=_number(environ, "SHOAL_SILENCE_SECONDS", 75),
            server_check_seconds=_number(environ, "SHOAL_SERVER_CHECK_SECONDS", 1),
            first_set_seconds=_number(environ, "SHOAL_FIRST_SET_SECONDS", 30),
            load_seconds=_number(environ, "SHOAL_LOAD_SECONDS", 300),
            load_patience_seconds=_number(environ, "SHOAL_LOAD_PATIENCE_SECONDS", 10),
            fetch_concurrency=int(_number(environ, "SHOAL_FETCH_CONCURRENCY", 4)),
            downloads=DownloadSettings.parse(environ),
            load_concurrency=int(_number(environ, "SHOAL_LOAD_CONCURRENCY", 4)),
            log_level=environ.get("SHOAL_LOG_LEVEL", "INFO").upper(),
            environ=dict(environ),
        )


def _required(environ: Mapping[str, str], key: str) -> str:
    value = environ.get(key, "")
    if not value:
        raise SettingsError(f"{key}: must be set")
    return value


def _number(
    environ: Mapping[str, str], key: str, default: float, *, least: float | None = None
) -> float:
    text = environ.get(key, "")
    try:
        value = float(text or default)
    except ValueError as error:
        raise SettingsError(f"{key}: {text!r} is no number") from error
    if least is None and value <= 0:
        raise SettingsError(f"{key}: must be greater than 0")
    if least is not None and value < least:
        raise SettingsError(f"{key}: must be at least {least:g}")
    return value


def _api_url(environ: Mapping[str, str]) -> str:
    if url := environ.get("SHOAL_API_URL", ""):
        return url.rstrip("/")
    host = environ.get("KUBERNETES_SERVICE_HOST", "")
    if not host:
        return "https://kubernetes.default.svc"
    if ":" in host:
        host = f"[{host}]"
    return f"https://{host}:{environ.get('KUBERNETES_SERVICE_PORT', '443')}"


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What one operator works on. Durations are seconds."""

    namespace: str
    identity: str
    image: str
    watch_namespaces: tuple[str, ...]  # empty: all
    admin_host: str
    admin_port: int
    leader_election: bool
    workers: int
    relist_seconds: float
    silence_seconds: float  # a watch without a sign of life for so long is opened anew
    secret_namespaces: tuple[str, ...]  # where `get` on Secrets may be passed on; "*": everywhere
    runtimes_dir: str  # of manifests of ClusterServingRuntimes to apply; empty: none
    log_level: str

    def may_grant_secrets(self, namespace: str) -> bool:
        """Tell whether an agent in this namespace may be let read its Secrets."""
        return "*" in self.secret_namespaces or namespace in self.secret_namespaces

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> "OperatorSettings":
        """Read the variables.

        Raises:
            SettingsError: it names the variable.
        """
        return cls(
            namespace=_required(environ, "SHOAL_NAMESPACE"),
            identity=_required(environ, "SHOAL_POD_NAME"),
            image=_required(environ, "SHOAL_IMAGE"),
            watch_namespaces=_list(environ, "SHOAL_WATCH_NAMESPACES", default=""),
            admin_host=environ.get("SHOAL_ADMIN_HOST", "0.0.0.0"),  # noqa: S104 - probes come in
            admin_port=int(_number(environ, "SHOAL_ADMIN_PORT", 8080)),
            leader_election=_is_on(environ, "SHOAL_LEADER_ELECTION", default=True),
            workers=int(_number(environ, "SHOAL_WORKERS", 8)),
            relist_seconds=_number(environ, "SHOAL_RELIST_SECONDS", 600),
            silence_seconds=_number(environ, "SHOAL_SILENCE_SECONDS", 70),
            secret_namespaces=_list(environ, "SHOAL_SECRET_NAMESPACES", default="*"),
            runtimes_dir=environ.get("SHOAL_RUNTIMES_DIR", ""),
            log_level=environ.get("SHOAL_LOG_LEVEL", "INFO").upper(),
        )


def _list(environ: Mapping[str, str], key: str, *, default: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in environ.get(key, default).split(","))))


def _is_on(environ: Mapping[str, str], key: str, *, default: bool) -> bool:
    text = environ.get(key, "").lower() or str(default).lower()
    if text not in ("true", "false"):
        raise SettingsError(f"{key}: must be true or false, not {text!r}")
    return text == "true"
