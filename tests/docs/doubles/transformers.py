"""Calls callbacks as the Trainer of Hugging Face's Transformers does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class TrainerState:
    """How far the training is."""

    max_steps: int
    global_step: int = 0


@dataclass
class TrainerControl:
    """What a callback may ask for."""

    should_training_stop: bool = False


@dataclass
class TrainingArguments:
    """Those of the page."""

    output_dir: str
    max_steps: int
    logging_steps: int


class TrainerCallback:
    """`transformers.TrainerCallback`."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """After each line of the log."""


class Trainer:
    """One that trains nothing and tells of it."""

    def __init__(
        self,
        *,
        model: object,
        args: TrainingArguments,
        train_dataset: object,
        callbacks: Sequence[TrainerCallback],
    ) -> None:
        self._model, self._args, self._callbacks = model, args, callbacks

    def train(self) -> None:
        """Train the model."""
        state = TrainerState(self._args.max_steps)
        while state.global_step < state.max_steps:
            state.global_step += self._args.logging_steps
            self._tell(state, loss=1 / state.global_step, epoch=state.global_step / 10)
        self._tell(state, train_loss=0.5, train_runtime=1.0)

    def _tell(self, state: TrainerState, **logs: float) -> None:
        for one in self._callbacks:
            one.on_log(self._args, state, TrainerControl(), logs=logs, model=self._model)
