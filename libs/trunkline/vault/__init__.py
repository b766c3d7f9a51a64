"""Sensitive values: kept encrypted for a short time, under tokens that anybody may write down. See docs/policy.md."""

from trunkline.agents.sensitive import TOKEN
from trunkline.proto.errors import BadSettings
from trunkline.record import Bucket
from trunkline.vault.sealing import VARIABLE, key_of
from trunkline.vault.vault import NoLongerKept, Vault

__all__ = [
    "NoLongerKept",
    "Vault",
    "checked_ttl_s",
    "has_tokens",
    "key_of",
    "open_vault",
]

TTL_LIMIT_S = 86_400.0


def has_tokens(text: str) -> bool:
    return TOKEN.search(text) is not None


def checked_ttl_s(setting_s: float) -> float:
    """Raises BadSettings."""
    if not 1 <= setting_s <= TTL_LIMIT_S:
        raise BadSettings("TRUNKLINE_VAULT_TTL_S", f"{setting_s:g}", f"1 to {TTL_LIMIT_S:g} seconds")
    return setting_s


def open_vault(key: str, values: Bucket, *, needed: bool) -> Vault | None:
    """key: as the setting has it. values: see Vault. needed: a guardrail takes values out. None where there is neither.

    Raises BadSettings.
    """
    if not key and not needed:
        return None
    if not key:
        why = "is not set, and the agent file has a guardrail for sensitive values"
        raise BadSettings(VARIABLE, why, "32 random bytes in base64")
    return Vault(key_of(key), values)
