"""The training loop of every objective: deterministic and resumed exactly."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from lightly.models.utils import get_weight_decay_parameters
from lightly.utils.scheduler import cosine_warmup_schedule
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from patchlens.errors import TrainingError
from patchlens.pretrain.checkpoint import Row, State, restore, save
from patchlens.pretrain.frames import windows
from patchlens.pretrain.objectives.base import Objective
from patchlens.pretrain.probe import Probed
from patchlens.progress import bar, log

Report = Callable[[Row], None]
CONSTANT = 1e-4  # spread of the probe's features below which all patches look the same
# The memory-efficient kernel has no deterministic gradient; flash attention and plain math have.
KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]


@dataclass
class Loop:
    """One run.

    Attributes:
        objective: on its device.
        frames: uint8 [N, 4, H, W], on the same device.
        probe: scores the student; None: no probes.
        checkpoint: where the state is saved; None: not saved.
        report: called with every row, including those of an interrupted run.
    """

    objective: Objective
    frames: Tensor
    probe: Callable[[Any], Probed] | None
    checkpoint: Path | None
    report: Report

    def __post_init__(self) -> None:
        recipe, self.device = self.objective.recipe, self.frames.device
        self.own, self.shared = recipe.own, recipe.shared
        per_step = self.objective.seen(self.own.batch).crops
        self.steps = self.shared.crops // per_step
        self.state = State()
        self.generator = torch.Generator().manual_seed(recipe.seed)
        trained, plain = get_weight_decay_parameters([self.objective])
        groups = [
            {"params": [p for p in some if p.requires_grad], "weight_decay": decay}
            for some, decay in ((trained, self.own.weight_decay), (plain, 0.0))
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.own.learning_rate)
        self.parameters = [p for p in self.objective.parameters() if p.requires_grad]
        self.probe_every = max(1, round(self.steps * self.shared.probe.every))

    def run(self, until: int | None = None) -> State:
        """Train to the end of the budget, or to step `until`.

        Raises:
            TrainingError: the loss is not finite, or the features collapsed.
        """
        self._resume()
        last = self.steps if until is None else min(until, self.steps)
        saved, logged = time.monotonic(), dict[str, Tensor]()
        with _deterministic(), bar(total=self.steps, what="pretrain", unit="step") as shown:
            shown.update(self.state.step)
            if not self.state.step:
                self._probe()
            count, start = 0, time.perf_counter()
            while self.state.step < last:
                for name, value in self.step().items():
                    logged[name] = logged[name] + value if name in logged else value
                count += 1
                shown.update(1)
                step = self.state.step
                if step % self.shared.log_every == 0 or step == self.steps:
                    self._log({name: float(total) / count for name, total in logged.items()})
                    logged, count = {}, 0
                    now = time.perf_counter()
                    self.state.seconds, start = self.state.seconds + now - start, now
                probing = step % self.probe_every == 0 or step == self.steps
                if probing:
                    wait(self.device)  # wait for steps that are still running
                began = time.perf_counter()
                if probing:
                    self._probe()
                # Only where a row ends: sums since the last row are in no checkpoint.
                due = time.monotonic() - saved > 60 * self.shared.checkpoint_minutes
                if count == 0 and (due or step == last):
                    self._save()
                    saved = time.monotonic()
                start += time.perf_counter() - began
        return self.state

    def step(self) -> dict[str, Tensor]:
        """One step; returns scalars, still on the device."""
        state, own = self.state, self.own
        rate = cosine_warmup_schedule(
            state.step, self.steps, own.learning_rate, 0.0, int(own.warmup * self.steps), 0.0
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        channels = 4 if self.objective.labels else 3
        side = self.shared.augment.window
        crops = windows(self.frames, own.batch, side, channels, self.generator)
        batch = self.objective.views(crops, self.generator)
        kind = self.device.type
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"), sdpa_kernel(KERNELS):
            loss, logged = self.objective.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.shared.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        state.step += 1
        self.objective.after_step(state.step / self.steps)
        rate_now = torch.tensor(rate, dtype=torch.float64)
        return {"loss": loss.detach(), "learning_rate": rate_now, "gradient": norm} | logged

    def _log(self, means: Row) -> None:
        step = self.state.step
        for name, value in means.items():
            if not isfinite(value):
                raise TrainingError(
                    f"step {step}: {name} is {value}; lower objectives.{self._where}.learning_rate"
                )
        if why := self.objective.collapse():
            raise TrainingError(f"step {step}: collapse: {why}")
        self.state.rows.append({"step": step, **means})
        self.report(self.state.rows[-1])

    def _probe(self) -> None:
        if self.probe is None:
            return
        found, step = self.probe(self.objective.student()), self.state.step
        if found.spread < CONSTANT:
            raise TrainingError(
                f"step {step}: collapse: all patches have the same feature (variance of the unit "
                f"features {found.spread:.1e})"
            )
        self.state.probes.append({"step": step} | {f"probe_{k}": v for k, v in vars(found).items()})
        self.report(self.state.probes[-1])
        loss = f", loss {self.state.rows[-1]['loss']:.3f}" if self.state.rows else ""
        log.info("step %d of %d: patch mIoU %.3f%s", step, self.steps, found.miou, loss)

    @property
    def _where(self) -> str:
        return f"{self.objective.recipe.objective}.{self.objective.recipe.size}"

    def _save(self) -> None:
        if self.checkpoint is not None:
            save(
                self.checkpoint,
                self.state,
                objective=self.objective.state_dict(),
                optimizer=self.optimizer.state_dict(),
                generator=self.generator.get_state(),
            )

    def _resume(self) -> None:
        found = None if self.checkpoint is None else restore(self.checkpoint)
        if found is None:
            return
        self.state, tensors = found
        self.objective.load_state_dict(tensors["objective"])
        self.optimizer.load_state_dict(tensors["optimizer"])
        self.generator.set_state(tensors["generator"])
        for row in sorted([*self.state.rows, *self.state.probes], key=lambda row: row["step"]):
            self.report(row)


def wait(device: torch.device) -> None:
    """Wait until a device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _deterministic() -> Iterator[None]:
    """Allow only deterministic kernels inside.

    On a GPU, torch also needs CUBLAS_WORKSPACE_CONFIG, set before CUDA starts: see `run`.
    """
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
