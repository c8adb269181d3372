"""The embedded endpoint `offline:`: a loopback server that speaks TGI's protocol and answers by rules."""

from tagsmith.processors.endpoint.offline.settings import OfflineSettings, identity

__all__ = ["OfflineSettings", "identity"]
