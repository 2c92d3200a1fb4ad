"""Calls callbacks as Keras 3 does in `Model.fit`."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any


class Callback:
    """`keras.callbacks.Callback`."""

    params: dict[str, Any]

    def set_params(self, params: dict[str, Any]) -> None:
        """Before the first epoch."""
        self.params = params

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """After each epoch."""


callbacks = SimpleNamespace(Callback=Callback)


class Model:
    """One that learns something in each epoch."""

    def fit(
        self, x: object, y: object, *, epochs: int, verbose: int, callbacks: Sequence[Callback]
    ) -> None:
        """Train it."""
        for callback in callbacks:
            callback.set_params({"verbose": verbose, "epochs": epochs, "steps": 1})
        for epoch in range(epochs):
            for callback in callbacks:
                callback.on_epoch_end(epoch, {"loss": 1 / (epoch + 1), "val_loss": 2 / (epoch + 1)})
