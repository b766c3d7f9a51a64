"""Settings of the agent service."""

from typing import Literal

from trunkline.runtime.settings import CoreSettings

SECRET = ("model_key", "model_fallback_key", "vault_key")


class AgentSettings(CoreSettings, frozen=True, kw_only=True):
    """agent_file: FILE.py or FILE.py:NAME. engine_model: local, scripted, responses, chat or a plugin's name.

    model_script: JSON file of the scripted model, empty for its fixed reply. model_url to model_max_tokens_key: of
    an OpenAI-compatible endpoint. model_name: for agents that wish for no model of their own. model_fallbacks:
    comma-separated NAME or URL|NAME, asked in order where the first can't answer. model_fallback_key: for those of
    them at another host, which never get model_key. model_connect_s, model_first_token_s, model_idle_s: until a
    connection stands, until the first event of an answer, between two events. model_retries: at one endpoint, before
    the first token. model_phase: whether messages go back with their phase; `omit` only for endpoints that refuse the
    key. model_pictures: whether messages go with the pictures that they show; `omit` for models that see none, which
    are told so in words. record_replicas: of the record's streams where this process makes them, 1 or 3.
    nats_sync: what the NATS servers are expected to do, `always` or a time; nats_monitor_url: comma-separated, where
    they tell what they do. record_store_bytes: of all calls, 0 for no limit, and file_store_bytes: of all files, where
    this process makes their stores. vault_key: 32 bytes in base64, the same for agents and tool runners. vault_ttl_s:
    how long sensitive values are kept, where this process makes their bucket.
    breaker_failures: in a row, after which an endpoint is left alone for breaker_rest_s; 0 for never.
    """

    agent_file: str = ""
    engine_model: str = "local"
    model_script: str = ""
    model_url: str = ""
    model_key: str = ""
    model_name: str = ""
    model_fallbacks: str = ""
    model_fallback_key: str = ""
    model_connect_s: float = 3.0
    model_first_token_s: float = 10.0
    model_idle_s: float = 15.0
    model_retries: int = 2
    model_phase: Literal["send", "omit"] = "send"
    model_pictures: Literal["send", "omit"] = "send"
    model_max_tokens_key: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    record_replicas: Literal[1, 3] = 1
    nats_sync: str = ""
    nats_monitor_url: str = ""
    record_store_bytes: int = 0
    file_store_bytes: int = 2_147_483_648
    vault_key: str = ""
    vault_ttl_s: float = 3600.0
    breaker_failures: int = 6
    breaker_rest_s: float = 10.0

    def __repr__(self) -> str:
        """Without secrets."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if name not in SECRET}
        return f"AgentSettings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
