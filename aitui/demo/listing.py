"""Models as the server lists them: `/v1/models`, `/running` and the `modelStatus` event."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aitui.demo.configuration import (
    Capabilities,
    Configuration,
    ModelConfiguration,
    Peer,
    Profile,
    Selector,
)
from aitui.demo.dialect import BuildTraits
from aitui.demo.upstream_process import ProcessState, UpstreamProcess


class ModelListing:
    """Describes one configuration's models as one build does."""

    def __init__(
        self,
        configuration: Configuration,
        processes: Mapping[str, UpstreamProcess],
        traits: BuildTraits,
    ) -> None:
        self._configuration = configuration
        self._processes = processes
        self._traits = traits

    def running(self) -> dict[str, Any]:
        """Return the response of `/running`."""
        shown = (
            {ProcessState.READY}
            if self._traits.lists_only_ready
            else set(ProcessState) - {ProcessState.STOPPED}
        )
        return {
            "running": [
                {
                    "model": process.id,
                    "state": process.state.value,
                    "cmd": process.configuration.command,
                    "proxy": process.configuration.proxy,
                    "ttl": int(process.configuration.ttl),
                    "name": process.configuration.name,
                    "description": process.configuration.description,
                }
                for process in self._processes.values()
                if process.state in shown
            ]
        }

    def statuses(self) -> list[dict[str, Any]]:
        """Return the data of `modelStatus`: every model with its state, peers' models without."""
        local = [self._status(process) for process in self._processes.values()]
        peers = [
            {
                "id": self._peer_model_id(peer, model),
                "name": "",
                "description": "",
                "state": "",
                "unlisted": False,
                "peerID": peer.id,
            }
            for peer in self._peers()
            for model in peer.models
        ]
        return local + peers

    def models(self, active: Profile | None) -> dict[str, Any]:
        """Return the response of `/v1/models`, sorted by id."""
        created = int(time.time())
        entries = [
            entry
            for model in self._configuration.models.values()
            if not model.unlisted
            for entry in self._model_and_aliases(model, created)
        ]
        entries += [
            self._peer_entry(peer, model, created)
            for peer in self._peers()
            for model in peer.models
        ]
        if self._traits.detailed_events:
            entries += [
                self._selector_entry(item, created) for item in self._configuration.selectors
            ]
            entries += self._pin_entries(active, created)
        return {"data": sorted(entries, key=lambda entry: str(entry["id"])), "object": "list"}

    def peer_of(self, model_id: str) -> tuple[Peer, str] | None:
        """Return the peer that offers a model, and the model's name there."""
        for peer in self._configuration.peers:
            for model in peer.models:
                if model_id == model or model_id == self._peer_model_id(peer, model):
                    return peer, model
        return None

    def _status(self, process: UpstreamProcess) -> dict[str, Any]:
        model = process.configuration
        status: dict[str, Any] = {
            "id": model.id,
            "name": model.name,
            "description": model.description,
            "state": process.state.value,
            "unlisted": model.unlisted,
            "peerID": "",
        }
        if model.aliases:
            status["aliases"] = list(model.aliases)
        able = process.capabilities
        if self._traits.detailed_events and able:
            if flags := _capability_flags(able) or not self._traits.discovers_capabilities:
                status["capabilities"] = flags
            if able.context:
                status["context_length"] = able.context
        if self._traits.reports_loads and process.state is ProcessState.READY:
            status["readySince"] = f"{datetime.fromtimestamp(process.ready_at, UTC):%FT%TZ}"
            status["uptimeMs"] = max(1, round(1000 * process.uptime))
        elif process.progress is not None:
            status["loadingProgress"], status["loadingMessage"] = process.progress
        return status

    def _model_and_aliases(self, model: ModelConfiguration, created: int) -> list[dict[str, Any]]:
        own = {"type": "model"}
        if model.aliases:
            own["aliases"] = list(model.aliases)  # type: ignore[assignment]
        entries = [self._entry(model, model.id, created, own)]
        if self._configuration.aliases_in_list:
            about: dict[str, Any] = {"type": "alias", "modelID": model.id}
            entries += [self._entry(model, alias, created, about) for alias in model.aliases]
        return entries

    def _entry(
        self, model: ModelConfiguration, id_: str, created: int, about: Mapping[str, Any]
    ) -> dict[str, Any]:
        entry = _base_entry(id_, created)
        if model.name:
            entry["name"] = model.name
        if model.description:
            entry["description"] = model.description
        if not self._traits.detailed_events:
            if model.metadata:
                entry["meta"] = {"llamaswap": dict(model.metadata)}
            return entry
        meta: dict[str, Any] = {"llamaswap": {**model.metadata, **about}}
        able = self._processes[model.id].capabilities
        if able:
            entry |= _capability_fields(able)
            if able.context:
                meta["n_ctx"] = able.context
                if self._traits.discovers_capabilities:
                    entry["context_window"] = able.context
        entry["meta"] = meta
        entry["status"] = self._load_status(model.id)
        return entry

    def _peer_entry(self, peer: Peer, model: str, created: int) -> dict[str, Any]:
        entry = _base_entry(self._peer_model_id(peer, model), created)
        entry["name"] = f"{peer.id}: {model}"
        about = {"peerID": peer.id}
        if self._traits.detailed_events:
            about["type"] = "peer"
        entry["meta"] = {"llamaswap": about}
        if self._traits.detailed_events:
            entry["status"] = {"value": "unloaded"}
        return entry

    def _selector_entry(self, selector: Selector, created: int) -> dict[str, Any]:
        entry = _base_entry(selector.id, created)
        if selector.name:
            entry["name"] = selector.name
        if selector.description:
            entry["description"] = selector.description
        about = {
            "strategy": selector.strategy,
            "targets": list(selector.targets),
            "type": "selector",
        }
        entry["meta"] = {"llamaswap": about}
        entry["status"] = self._load_status(*selector.targets)
        return entry

    def _pin_entries(self, active: Profile | None, created: int) -> list[dict[str, Any]]:
        if active is None:
            return []
        return [
            {
                **_base_entry(name, created),
                "meta": {"llamaswap": {"type": "profile"}},
                "status": self._load_status(model),
            }
            for name, model in active.pins.items()
            if model
        ]

    def _load_status(self, *names: str) -> dict[str, str]:
        ids = {self._configuration.resolve(name) for name in names}
        loaded = any(
            process.id in ids and process.state is not ProcessState.STOPPED
            for process in self._processes.values()
        )
        return {"value": "loaded" if loaded else "unloaded"}

    def _peers(self) -> list[Peer]:
        peers = list(self._configuration.peers)
        return sorted(peers, key=lambda peer: peer.id) if self._traits.qualifies_peers else peers

    def _peer_model_id(self, peer: Peer, model: str) -> str:
        return f"{peer.id}/{model}" if self._traits.qualifies_peers else model


def _base_entry(id_: str, created: int) -> dict[str, Any]:
    return {"id": id_, "object": "model", "created": created, "owned_by": "llama-swap"}


def _capability_flags(capabilities: Capabilities) -> dict[str, bool]:
    flags = {}
    if capabilities.tools:
        flags["function_calling"] = True
    if "image" in capabilities.inputs:
        flags["vision"] = True
    return flags


def _capability_fields(capabilities: Capabilities) -> dict[str, Any]:
    takes, gives = capabilities.inputs, capabilities.outputs
    fields: dict[str, Any] = {
        "architecture": {
            "input_modalities": list(takes),
            "modality": f"{'+'.join(takes)}->{'+'.join(gives)}",
            "output_modalities": list(gives),
        },
        "capabilities": _capability_flags(capabilities),
    }
    if capabilities.tools:
        fields["supported_parameters"] = ["tools", "tool_choice"]
    if capabilities.context:
        fields["context_length"] = capabilities.context
    return fields
