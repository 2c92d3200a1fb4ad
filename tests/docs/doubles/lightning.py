"""Calls callbacks as Lightning 2 does in `Trainer.fit`."""

from __future__ import annotations

from collections.abc import Sequence


class Tensor:
    """A number that is none by itself."""

    def __init__(self, value: float) -> None:
        self._value = value

    def item(self) -> float:
        """Return it."""
        return self._value

    def __float__(self) -> float:
        return self._value


class Callback:
    """`lightning.Callback`."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: object) -> None:
        """After each epoch of the training."""


class Trainer:
    """One that trains nothing and tells of it."""

    def __init__(self, *, max_epochs: int, callbacks: Sequence[Callback]) -> None:
        self.max_epochs, self.current_epoch = max_epochs, 0
        self.callback_metrics: dict[str, Tensor] = {}
        self._callbacks = callbacks

    def fit(self, model: object, train_dataloaders: object) -> None:
        """Train the model."""
        for epoch in range(self.max_epochs):
            self.current_epoch = epoch
            self.callback_metrics["train_loss"] = Tensor(1 / (self.current_epoch + 1))
            for callback in self._callbacks:
                callback.on_train_epoch_end(self, model)
